/* net/flow.c: when a protocol must stop writing, and when it may go on.

   pause_writing is called once when the buffer has grown above the high-water
   mark, resume_writing once it is down to the low one. Held bytes never exceed
   the mark (writebuf.c), so that the pause always comes out of the write()
   that caused it, as in asyncio. */
#include "net/transport.h"

int
transport_maybe_pause(TransportObject *self)
{
    if (FA_LIKELY(self->out.size <= self->high) || self->proto_paused ||
        self->protocol == NULL)
    {
        return 0;
    }
    self->proto_paused = 1;
    return protocol_pause(self);
}

int
transport_maybe_resume(TransportObject *self)
{
    if (FA_LIKELY(!self->proto_paused) || self->out.size > self->low ||
        self->protocol == NULL)
    {
        return 0;
    }
    self->proto_paused = 0;
    return protocol_resume(self);
}

/* A limit as a number of bytes; anything larger than memory is infinite. */
int
flow_limit(PyObject *number, size_t *out)
{
    PyObject *whole = PyNumber_Long(number);
    if (whole == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear(); // float("inf")
        *out = SIZE_MAX;
        return 0;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(whole, &overflow);
    Py_DECREF(whole);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    *out = overflow ? SIZE_MAX : (size_t)value;
    return 0;
}

/* high >= low >= 0, in Python's arithmetic. 1, 0 or -1. */
static int
flow_limits_valid(PyObject *high, PyObject *low)
{
    int ok = PyObject_RichCompareBool(high, low, Py_GE);
    if (ok <= 0) {
        return ok;
    }
    PyObject *zero = PyLong_FromLong(0);
    ok = zero == NULL ? -1 : PyObject_RichCompareBool(low, zero, Py_GE);
    Py_XDECREF(zero);
    return ok;
}

/* asyncio's defaults for what was not given: new references in *high, *low. */
static int
flow_limits_default(PyObject **high, PyObject **low)
{
    PyObject *four = PyLong_FromLong(4);
    if (four == NULL) {
        *high = *low = NULL; // they were borrowed
        return -1;
    }
    if (*high == NULL) {
        *high = *low == NULL ? PyLong_FromLong(64 * 1024)
                             : PyNumber_Multiply(four, *low);
    }
    else {
        Py_INCREF(*high);
    }
    if (*low == NULL) {
        *low = *high == NULL ? NULL : PyNumber_FloorDivide(*high, four);
    }
    else {
        Py_INCREF(*low);
    }
    Py_DECREF(four);
    return *high == NULL || *low == NULL ? -1 : 0;
}

int
transport_set_limits(TransportObject *self, PyObject *high, PyObject *low)
{
    int rc = flow_limits_default(&high, &low);
    if (rc == 0) {
        int valid = flow_limits_valid(high, low);
        if (valid == 0) {
            PyErr_Format(PyExc_ValueError,
                         "high (%R) must be >= low (%R) must be >= 0", high,
                         low);
        }
        size_t new_high, new_low;
        rc = valid <= 0 || flow_limit(high, &new_high) < 0 ||
                     flow_limit(low, &new_low) < 0
                 ? -1
                 : 0;
        if (rc == 0) {
            self->high = new_high;
            self->low = new_low;
        }
    }
    Py_XDECREF(high);
    Py_XDECREF(low);
    return rc;
}
