/* module.c: the module _fastasync: each room's setup, in layer order. */
#include "api/api.h"
#include "base/state.h"
#include "loop/handle.h"
#include "loop/loop.h"
#include "net/net.h"
#include "stream/stream.h"
#include "sync/sync.h"
#include "task/task.h"

static int
module_exec(PyObject *module)
{
    fa_state *st = fa_state_of_module(module);
    if (fa_state_init(st) < 0 || loop_types_init(module, st) < 0 ||
        task_types_init(module, st) < 0 || sync_types_init(module, st) < 0 ||
        net_types_init(module, st) < 0 || stream_types_init(module, st) < 0 ||
        api_types_init(module, st) < 0)
    {
        return -1;
    }
    return 0;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    return fa_state_traverse(fa_state_of_module(module), visit, arg);
}

static int
module_clear(PyObject *module)
{
    fa_state *st = fa_state_of_module(module);
    handle_freelists_clear(st);
    task_freelists_clear(st);
    sync_freelists_clear(st);
    loop_current_clear(st);
    net_state_clear(st);
    fa_state_clear(st);
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if FA_PY312
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

PyDoc_STRVAR(module_doc,
"The C core of fastasync: event loop, Task, Future, handles, transports.\n"
"Use it through the package `fastasync`.");

PyModuleDef fa_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_fastasync",
    .m_doc = module_doc,
    .m_size = sizeof(fa_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__fastasync(void);

PyMODINIT_FUNC
PyInit__fastasync(void)
{
    return PyModuleDef_Init(&fa_module_def);
}
