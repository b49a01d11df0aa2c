"""The fault layer from Python: building it, arming it, and what can fail how.

`faults.c` is preloaded into a process; here that process arms it. `ways(name)`
says in which ways a system call plausibly fails: the errors its manual page
names, and counts that are shorter than what was asked for.
"""

import ctypes
import errno
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent

OURS, OTHERS = 1, 2  # who makes the call: _fastasync.so, or anybody else
FAIL, AFTER, SHORT, GONE, VALUE = 1, 2, 3, 4, 5


def compiler():
    """Return a C compiler, or None."""
    named = os.environ.get("CC", "").split()
    for name in (*named[:1], "cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    return None


def build(folder=None):
    """Compile the layer. Return the library's path."""
    folder = folder or tempfile.mkdtemp(prefix="faults-")
    path = os.path.join(folder, "faults.so")
    command = [compiler(), "-shared", "-fPIC", "-O2", "-o", path]
    subprocess.run(
        [*command, str(HERE / "faults.c"), "-ldl"],
        check=True,
        capture_output=True,
    )
    return path


class Layer:
    """The preloaded library of this process."""

    def __init__(self):
        self._lib = ctypes.CDLL(os.environ["FAULTS_LIBRARY"])
        self._lib.faults_begin.argtypes = [ctypes.c_int] * 2 + [
            ctypes.c_long,
            ctypes.c_long,
            ctypes.c_int,
            ctypes.c_long,
        ]
        self._lib.faults_end.restype = ctypes.c_long
        self._lib.faults_count.restype = ctypes.c_long
        self._lib.faults_log.argtypes = [
            ctypes.c_long,
            ctypes.POINTER(ctypes.c_int),
            ctypes.POINTER(ctypes.c_size_t),
        ]
        self._names = {}

    def number(self, call):
        """Return what the library calls `call`; ValueError if it cannot."""
        number = self._lib.faults_call(call.encode())
        if number < 0:
            raise ValueError(call)
        self._names[number] = call
        return number

    def count(self, scope):
        """Count from now on, and disturb nothing."""
        if not self._lib.faults_begin(scope, -1, 0, 0, 0, 0):
            raise RuntimeError("_fastasync is not loaded")

    def arm(self, scope, call, nth, repeat, kind, value):
        """Count from now on, and disturb the nth of `call`."""
        self._lib.faults_begin(
            scope, self.number(call), nth, repeat, kind, value
        )

    def end(self):
        """Disturb nothing any more. Return how often it was disturbed."""
        return self._lib.faults_end()

    def counted(self, call):
        """Return how often `call` was called since count() or arm()."""
        return self._lib.faults_count(self.number(call))

    def log(self):
        """Return (call, place in the code) of all calls since count()."""
        for call in WAYS:
            self.number(call)
        found = []
        call, site = ctypes.c_int(), ctypes.c_size_t()
        while self._lib.faults_log(len(found), call, site) == 0:
            found.append((self._names.get(call.value), site.value))
        return found


def _fail(*names):
    return [(FAIL, getattr(errno, name), name) for name in names]


def _after(*names):
    return [
        (AFTER, getattr(errno, name), f"{name} after it") for name in names
    ]


_SHORT = [(SHORT, 1, "1 byte"), (SHORT, -1, "half")]
_NO_FILES = ("EMFILE", "ENFILE", "ENOMEM")
_NO_SEND = (
    "EAGAIN",
    "EINTR",
    "ECONNRESET",
    "EPIPE",
    "ENOBUFS",
    "ENOMEM",
    "ETIMEDOUT",
    "EHOSTUNREACH",
)
_NO_RECEIVE = ("EAGAIN", "EINTR", "ECONNRESET", "ETIMEDOUT", "ENOMEM")

#: How each call may fail, the errors of its manual page. What the kernel only
#: says after it has done something ("AFTER") is done here, too.
WAYS = {
    "epoll_create1": _fail(*_NO_FILES),
    "epoll_ctl": [
        *_fail("ENOMEM", "ENOSPC", "EPERM", "EBADF"),
        *_after("EEXIST"),
        (GONE, 0, "file forgotten"),
    ],
    "epoll_wait": _fail("EINTR", "EINVAL"),
    "epoll_pwait2": _fail("EINTR", "ENOSYS", "EPERM", "EINVAL"),
    "eventfd": _fail(*_NO_FILES, "ENODEV"),
    "eventfd_read": [*_fail("EAGAIN", "EINTR"), *_after("EAGAIN")],
    "eventfd_write": [*_fail("EINTR"), *_after("EAGAIN")],
    "read": [*_fail("EAGAIN", "EINTR", "EIO", "ECONNRESET"), *_SHORT],
    "readv": [*_fail("EAGAIN", "EINTR", "EIO", "ECONNRESET"), *_SHORT],
    "write": [*_fail("EAGAIN", "EINTR", "EPIPE", "EIO", "ENOSPC"), *_SHORT],
    "writev": [*_fail("EAGAIN", "EINTR", "EPIPE", "EIO", "ENOSPC"), *_SHORT],
    "recv": [*_fail(*_NO_RECEIVE), *_SHORT],
    "recvfrom": _fail(*_NO_RECEIVE, "ECONNREFUSED"),
    "recvmsg": _fail(*_NO_RECEIVE, "ECONNREFUSED"),
    "recvmmsg": [
        *_fail(*_NO_RECEIVE, "ECONNREFUSED", "ENOSYS"),
        (SHORT, 1, "1 message"),
    ],
    "send": [*_fail(*_NO_SEND), *_SHORT],
    "sendmsg": [*_fail(*_NO_SEND), *_SHORT],
    "sendto": _fail(*_NO_SEND, "ECONNREFUSED", "EMSGSIZE", "EPERM"),
    "sendmmsg": [
        *_fail(*_NO_SEND, "ECONNREFUSED", "EMSGSIZE", "EPERM", "ENOSYS"),
        (SHORT, 1, "1 message"),
    ],
    "accept4": _fail(
        "EAGAIN",
        "EINTR",
        "ECONNABORTED",
        *_NO_FILES,
        "ENOBUFS",
        "EPERM",
        "EPROTO",
    ),
    "connect": [
        *_fail(
            "ECONNREFUSED",
            "ETIMEDOUT",
            "ENETUNREACH",
            "EADDRNOTAVAIL",
            "EACCES",
            "EPERM",
        ),
        *_after("EINPROGRESS", "EINTR"),
    ],
    "bind": _fail("EADDRINUSE", "EADDRNOTAVAIL", "EACCES", "ENOMEM"),
    "listen": _fail("EADDRINUSE", "EOPNOTSUPP"),
    "socket": _fail(*_NO_FILES, "ENOBUFS", "EAFNOSUPPORT", "EACCES"),
    "socketpair": _fail(*_NO_FILES, "EAFNOSUPPORT"),
    "getsockopt": [
        *_fail("ENOBUFS", "EINVAL"),
        (VALUE, errno.ECONNREFUSED, "says ECONNREFUSED"),
        (VALUE, errno.ETIMEDOUT, "says ETIMEDOUT"),
    ],
    "setsockopt": _fail("ENOPROTOOPT", "EINVAL", "ENOMEM"),
    "getsockname": _fail("ENOBUFS", "EINVAL"),
    "getpeername": _fail("ENOTCONN", "ENOBUFS", "EINVAL"),
    "shutdown": _after("ENOTCONN"),
    "close": _after("EINTR", "EIO", "ENOSPC"),
    "pipe2": _fail(*_NO_FILES),
    "dup3": _fail("EMFILE", "EINTR", "EBUSY"),
    "fcntl": _fail("EINVAL", "EAGAIN"),
    "ioctl": _fail("ENOTTY", "EINVAL"),
    "sendfile": [
        *_fail(
            "EAGAIN",
            "EINTR",
            "EINVAL",
            "ENOSYS",
            "ENOTSOCK",
            "EOVERFLOW",
            "EIO",
            "ENOMEM",
            "EPIPE",
            "ECONNRESET",
        ),
        *_SHORT,
    ],
    "pidfd_open": _fail(*_NO_FILES, "ENODEV", "ENOSYS", "EPERM"),
    "waitid": [*_fail("EINTR"), *_after("ECHILD")],
    "waitpid": [*_fail("EINTR"), *_after("ECHILD")],
    "vfork": _fail("EAGAIN", "ENOMEM"),
    "fork": _fail("EAGAIN", "ENOMEM"),
    "execve": _fail("ENOENT", "EACCES", "ENOMEM", "E2BIG"),
    "kill": _fail("ESRCH", "EPERM"),
    "mmap": _fail("ENOMEM"),
    "madvise": _fail("EINVAL", "ENOMEM"),
    "fstat": _fail("EBADF", "ENOMEM"),
}
