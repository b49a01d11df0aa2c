"""Run as a script: start children where the kernel refuses what we prefer.

    refused_calls.py clone | pidfd

`clone`: no child may share our memory, as in some sandboxes; `pidfd`: nor are
there pidfds. Prints one line per child.
"""

import asyncio
import ctypes
import os
import signal
import sys

import fastasync

CLONE, PIDFD_OPEN, CLONE_VFORK = 56, 434, 0x4000  # of x86-64
EPERM = 1


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8),
                ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint16), ("filter", ctypes.POINTER(Filter))]


def refuse(pidfd):
    """A seccomp filter: EPERM for clone(CLONE_VFORK) and for pidfd_open."""
    code = [
        (0x20, 0, 0, 0),                              # load the call's number
        (0x15, 3 if pidfd else 4, 0, PIDFD_OPEN),     # pidfd_open: to the end
        (0x15, 0, 3, CLONE),                          # not clone: allowed
        (0x20, 0, 0, 16),                             # load its flags
        (0x45, 0, 1, CLONE_VFORK),
        (0x06, 0, 0, 0x00050000 | EPERM),
        (0x06, 0, 0, 0x7FFF0000),
    ]
    filters = (Filter * len(code))(*[Filter(*line) for line in code])
    program = Program(len(code), filters)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    if libc.prctl(22, 2, ctypes.byref(program)) != 0:
        print("no seccomp")
        sys.exit()


async def start(*command, **keywords):
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=-1, **keywords)
    except OSError as error:
        print(type(error).__name__, error.filename)
        return
    output, _ = await process.communicate()
    print(output, process.returncode)


async def main():
    await start("/bin/sh", "-c", "echo started; exit 3")
    await start("sh", "-c", "pwd; kill -9 $$", cwd="/")
    await start("/nowhere")
    await start("/bin/true", cwd="/nowhere")
    await start("/bin/sh", "-c", "cd /proc/$$/fd; echo *", pass_fds=(40,))


os.dup2(0, 40)
loop = fastasync.new_event_loop()  # it looks whether there are pidfds
refuse(sys.argv[1] == "pidfd")
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
loop.run_until_complete(main())
loop.close()
print(signal.pthread_sigmask(signal.SIG_BLOCK, []) == before)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no children")
