/* base/errors.h: turning C failures into Python exceptions and back. */
#ifndef FA_BASE_ERRORS_H
#define FA_BASE_ERRORS_H

#include "base/compat.h"

/* True if the raised exception is SystemExit or KeyboardInterrupt, the two
   that asyncio lets leave the loop. */
FA_INTERNAL int fa_err_is_exit(void);

/* Raise the OSError for a negative errno, as an os/ function returned it. */
FA_INTERNAL void fa_err_set_errno(int neg_errno);

/* A new OSError instance for a negative errno (NULL if that failed). */
FA_INTERNAL PyObject *fa_err_new_errno(int neg_errno);

/* `raise exc`, for whatever a program may have put where an exception belongs. */
FA_INTERNAL void fa_err_raise(PyObject *exc);

/* Set exc.__context__ of the raised exception to `context` (steals it; NULL
   allowed) unless it has one, so that nothing is lost when cleaning up. */
FA_INTERNAL void fa_err_chain(PyObject *context);

/* The raised exception cannot go anywhere: hand it to sys.unraisablehook. */
FA_INTERNAL void fa_err_unraisable(PyObject *where);

/* The arguments of a throw() method as one exception instance (new), with the
   errors of a generator's; NULL with the error raised. */
FA_INTERNAL PyObject *fa_throw_arguments(PyObject *const *args,
                                         Py_ssize_t nargs);

#endif
