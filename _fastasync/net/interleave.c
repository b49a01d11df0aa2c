/* net/interleave.c: addresses of all families in turn.

   What asyncio's base_events._interleave_addrinfos does before happy eyeballs
   begin: of each family the first, of each the second, and so on, the families
   in the order in which they appear; but first so many of the first family.
   Whatever is not as getaddrinfo gives it, and a function that was replaced, is
   asyncio's business. Cost: one pass, and one list per family. */
#include "net/connect.h"

#define INTERLEAVE_FAMILIES 8

static int
interleave_family(PyObject *info, int *family)
{
    return PyTuple_CheckExact(info) && PyTuple_GET_SIZE(info) > 0 &&
           addr_int(PyTuple_GET_ITEM(info, 0), family);
}

/* Put the addresses into one list per family (owned): how many, 0 = that is not
   for us, -1 with an exception. */
static int
interleave_group(PyObject *infos, PyObject *groups[INTERLEAVE_FAMILIES])
{
    int families[INTERLEAVE_FAMILIES], count = 0, family;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(infos); i++) {
        PyObject *info = PyList_GET_ITEM(infos, i);
        int which = 0;
        if (!interleave_family(info, &family)) {
            return 0;
        }
        while (which < count && families[which] != family) {
            which++;
        }
        if (which == count) {
            if (count == INTERLEAVE_FAMILIES) {
                return 0;
            }
            families[count] = family;
            groups[count] = PyList_New(0);
            count += groups[count] != NULL;
        }
        if (groups[which] == NULL || PyList_Append(groups[which], info) < 0) {
            return -1;
        }
    }
    return count;
}

/* The first `lead` of the first family, then one of each in turn (new). */
static PyObject *
interleave_merge(PyObject *const *groups, int count, Py_ssize_t total,
                 Py_ssize_t lead)
{
    PyObject *merged = PyList_New(0);
    for (Py_ssize_t i = 0; merged != NULL && i < lead; i++) {
        if (PyList_Append(merged, PyList_GET_ITEM(groups[0], i)) < 0) {
            Py_CLEAR(merged);
        }
    }
    for (Py_ssize_t i = 0; merged && PyList_GET_SIZE(merged) < total; i++) {
        for (int which = 0; merged != NULL && which < count; which++) {
            Py_ssize_t at = which == 0 ? i + lead : i;
            if (at < PyList_GET_SIZE(groups[which]) &&
                PyList_Append(merged, PyList_GET_ITEM(groups[which], at)) < 0)
            {
                Py_CLEAR(merged);
            }
        }
    }
    return merged;
}

PyObject *
interleave_infos(fa_state *st, PyObject *infos, PyObject *first_family_count)
{
    PyObject *groups[INTERLEAVE_FAMILIES] = {NULL}, *merged = NULL;
    int first, count = 0;
    if (PyList_CheckExact(infos) && PyLong_CheckExact(first_family_count) &&
        addr_int(first_family_count, &first) &&
        plain_own_function(st->mod_base_events, "_interleave_addrinfos"))
    {
        count = interleave_group(infos, groups);
    }
    if (count > 0) {
        Py_ssize_t most = PyList_GET_SIZE(groups[0]);
        Py_ssize_t lead = first > 1 ? first - 1 : 0;
        merged = interleave_merge(groups, count, PyList_GET_SIZE(infos),
                                  lead < most ? lead : most);
    }
    for (int which = 0; which < INTERLEAVE_FAMILIES; which++) {
        Py_XDECREF(groups[which]);
    }
    return count == 0 ? PyObject_CallMethod(st->mod_base_events,
                                            "_interleave_addrinfos", "OO",
                                            infos, first_family_count)
                      : merged;
}
