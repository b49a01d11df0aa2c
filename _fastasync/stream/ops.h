/* stream/ops.h: what the coroutines of StreamReader have in common (read_ops.c,
   read_until.c). Nobody else includes it.

   The functions are the pieces of asyncio's code that every operation has; a
   turn returns what they return. */
#ifndef FA_STREAM_OPS_H
#define FA_STREAM_OPS_H

#include "stream/private.h"
#include "task/coro.h"

/* vars: the reader; n, or the separators; what read(-1) has got so far. */
enum { OP_READER, OP_ARG, OP_BLOCKS };

enum {
    BEGIN,
    WAITED,    /* by self._wait_for_data(), a method */
    WAITED_IN, /* the same in place: its `finally` is ours to do */
    CALLED,    /* another of the reader's coroutines was awaited */
};

static inline ReaderObject *
op_reader(CoroObject *co)
{
    return (ReaderObject *)co->vars[OP_READER];
}

static inline int
op_is_plain(CoroObject *co)
{
    return FA_LIKELY(reader_is_plain(co->st, co->vars[OP_READER]));
}

/* await self._wait_for_data(name): the next turn is at WAITED or WAITED_IN. */
FA_INTERNAL PySendResult op_wait(CoroObject *co, PyObject *name);

/* That await has ended. 0, or -1 if it has raised. */
FA_INTERNAL int op_waited(CoroObject *co, PyObject *value);

/* raise self._exception, unless it is None. 0 or -1. HOT */
FA_INTERNAL int op_check(CoroObject *co);

/* return the first n bytes, and let the transport go on. HOT */
FA_INTERNAL PySendResult op_return(CoroObject *co, Py_ssize_t n,
                                   PyObject **result);

/* raise IncompleteReadError(everything, expected). */
FA_INTERNAL PySendResult op_incomplete(CoroObject *co, PyObject *expected);

/* The reader's coroutine with one argument, `parameter`; what it is without
   one is `fallback` (borrowed; NULL: it must be given). NULL on error. */
FA_INTERNAL PyObject *op_make(fa_state *st, const fa_coro_kind *kind,
                              const char *parameter, PyObject *fallback,
                              PyObject *self, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames);

#endif
