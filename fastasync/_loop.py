"""The event loop class: the C core with the cold methods of asyncio's loop.

`LoopCore` (C) has everything that is called often: scheduling, tasks, running,
watching file descriptors. The methods named in `_BORROWED` are called seldom or
spend their time elsewhere; they are asyncio's own functions of the running
Python version, taken from its classes and run on our loop, so that their
signatures, checks and error texts are right by construction. They shrink as
fastasync grows: see docs/architecture.md.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
import warnings
import weakref
from asyncio import base_events, coroutines, selector_events, unix_events
from typing import Any

import _fastasync

from . import _nested, _server, _tls

__all__ = ("Loop", "new_event_loop")

#: asyncio's methods that run on our loop unchanged, by the class they are in.
_BORROWED: dict[type, tuple[str, ...]] = {
    base_events.BaseEventLoop: (
        "__repr__",
        "__del__",
        # async generators and executors
        "_asyncgen_finalizer_hook",
        "_asyncgen_firstiter_hook",
        "shutdown_asyncgens",
        "shutdown_default_executor",
        "_do_shutdown",
        "_check_default_executor",
        "set_default_executor",
        # reports
        "get_exception_handler",
        "set_exception_handler",
        "default_exception_handler",
        "call_exception_handler",
        "_check_callback",
        "_set_coroutine_origin_tracking",
        "_add_callback_signalsafe",
        # names (looking them up is ours)
        "_getaddrinfo_debug",
        # connections and servers (the transports are ours)
        "_connect_sock",
        "_create_server_getaddrinfo",
        # endpoints (the transport is ours)
        "create_datagram_endpoint",
        # checks before, and words for the log (the spawning is ours)
        "_log_subprocess",
        "subprocess_shell",
        # checks, and reading and writing where the kernel cannot (the native
        # sending is ours)
        "sendfile",
        "_sendfile_fallback",
        "sock_sendfile",
        "_sock_sendfile_fallback",
        "_check_sendfile_params",
    ),
    selector_events.BaseSelectorEventLoop: (
        "_accept_connection2",
        "_sendfile_native",
        "_read_from_self",
        # where a socket is not an ordinary one
        "_sock_read_done",
        "_sock_recv",
        "_sock_recv_into",
        "_sock_recvfrom",
        "_sock_recvfrom_into",
        "_sock_sendall",
        "_sock_sendto",
        "_sock_connect",
        "_sock_write_done",
        "_sock_connect_cb",
        "_sock_accept",
    ),
    unix_events._UnixSelectorEventLoop: (
        "_process_self_data",
        "add_signal_handler",
        "_handle_signal",
        "remove_signal_handler",
        "_check_signal",
        "_child_watcher_callback",
        "_sock_sendfile_native_impl",
        "_sock_sendfile_update_filepos",
        "_sock_add_cancellation_callback",
    ),
}


#: The C core knows who of these owns which file descriptor.
_OUR_TRANSPORTS = (_fastasync.SocketTransport, _fastasync.DatagramSocketTransport)


class _Transports(weakref.WeakValueDictionary[int, Any]):
    """Which transport uses which file descriptor, as borrowed code sees it.

    The C core keeps account of its own transports; others stand here.
    """

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = weakref.ref(loop)

    def __setitem__(self, fd: int, transport: Any) -> None:
        loop = self._loop()
        if isinstance(transport, _OUR_TRANSPORTS):
            if loop is not None:
                loop._claim_fd(fd, transport)
            return
        super().__setitem__(fd, transport)
        if loop is not None:
            loop._foreign_transports = True

    def __delitem__(self, fd: int) -> None:
        if fd in self.data:
            super().__delitem__(fd)
            return
        loop = self._loop()
        if loop is None or not loop._release_fd(fd):
            raise KeyError(fd)


class _SelectorView:
    """What asyncio's own transports ask a loop's selector, in their repr."""

    def __init__(self, loop: Loop) -> None:
        self._loop = weakref.ref(loop)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        """Return what the file is watched for, KeyError if for nothing."""
        loop = self._loop()
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        events = 0 if loop is None else loop._watched(fd)
        if not events:
            raise KeyError(f"{fileobj!r} is not registered")
        return selectors.SelectorKey(fileobj, fd, events, None)


class Loop(
    _fastasync.LoopCore, _server.StopsServing, asyncio.AbstractEventLoop
):
    """An event loop with the interface and the semantics of asyncio's.

    Use it through `fastasync.run`, `fastasync.new_event_loop` or one of the
    other ways the README names. `selector` is accepted, as asyncio's
    SelectorEventLoop accepts it, and not used.
    """

    __module__ = "fastasync"

    for _class, _names in _BORROWED.items():
        for _name in _names:
            if _name in vars(_class):  # not every version has every helper
                locals()[_name] = vars(_class)[_name]
    del _class, _names, _name

    def __init__(self, selector: object = None) -> None:
        self._clock_resolution = 1e-9
        self._default_executor: Any = None
        self._executor_shutdown_called = False
        self._internal_fds = 1
        self._asyncgens: weakref.WeakSet[Any] = weakref.WeakSet()
        self._asyncgens_shutdown_called = False
        self._coroutine_origin_tracking_enabled = False
        self._coroutine_origin_tracking_saved_depth: int | None = None
        self._signal_handlers: dict[int, Any] = {}
        self._unix_server_sockets: dict[socket.socket, int] = {}
        self._transports = _Transports(self)
        self._selector: Any = _SelectorView(self)
        self._ssock: socket.socket | None = None
        self._self_pipe: socket.socket | None = None
        if sys.version_info >= (3, 14):
            self._watcher = (
                unix_events._PidfdChildWatcher()
                if unix_events.can_use_pidfd()
                else unix_events._ThreadedChildWatcher()
            )
        self.set_debug(coroutines._is_debug_mode())

    # -- debug mode -------------------------------------------------------

    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode. See asyncio.loop.set_debug."""
        self._set_debug(enabled)
        if self.is_running():
            self.call_soon_threadsafe(
                self._set_coroutine_origin_tracking, enabled
            )

    # -- runs inside of runs ----------------------------------------------

    @property
    def _nest_patched(self) -> Any:
        """Let nest_asyncio.apply() find its work done. See _nested.py."""
        value = self.__dict__.get("_nest_patched")
        if value is not None:
            return value
        if _nested.is_patching(sys._getframe(1)):
            self._adopt_nest_asyncio()
        if not self.allow_nested:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute "
                "'_nest_patched'"
            )
        return True

    @_nest_patched.setter
    def _nest_patched(self, value: Any) -> None:
        self.__dict__["_nest_patched"] = value

    _adopt_nest_asyncio = _nested.adopt_nest_asyncio

    # -- end of life ------------------------------------------------------

    def close(self) -> None:
        """Close the loop; it must not be running. See asyncio.loop.close."""
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        if self._debug:
            base_events.logger.debug("Close %r", self)
        self._close_self_pipe()
        self._close()
        self._selector = None
        self._executor_shutdown_called = True
        executor = self._default_executor
        if executor is not None:
            self._default_executor = None
            executor.shutdown(wait=False)
        self._close_signals()

    def _close_signals(self) -> None:
        if not sys.is_finalizing():
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        elif self._signal_handlers:
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, "
                f"skipping signal handlers removal",
                ResourceWarning,
                source=self,
            )
            self._signal_handlers.clear()

    # -- the self-pipe: only signals need it ------------------------------

    @property
    def _csock(self) -> socket.socket | None:
        """The writing end of the self-pipe, for signal.set_wakeup_fd."""
        if self._self_pipe is None and not self.is_closed():
            ssock, csock = socket.socketpair()
            try:
                ssock.setblocking(False)
                csock.setblocking(False)
                self._add_reader(ssock.fileno(), self._read_from_self)
            except BaseException:
                ssock.close()
                csock.close()
                raise
            self._ssock, self._self_pipe = ssock, csock
            self._internal_fds += 1
        return self._self_pipe

    def _close_self_pipe(self) -> None:
        if self._ssock is not None and self._self_pipe is not None:
            self._remove_reader(self._ssock.fileno())
            self._ssock.close()
            self._ssock = None
            self._self_pipe.close()
            self._self_pipe = None
            self._internal_fds -= 1

    # -- transports of streams --------------------------------------------

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: Any = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Any = None,
    ) -> asyncio.Transport:
        return _fastasync.SocketTransport(
            self, sock, protocol, waiter, extra, server, context
        )

    _make_ssl_transport = _tls.make_ssl_transport
    start_tls = _tls.start_tls

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: Any = None,
        extra: dict[str, Any] | None = None,
    ) -> asyncio.DatagramTransport:
        self._ensure_fd_no_transport(sock)
        return _fastasync.DatagramSocketTransport(
            self, sock, protocol, address, waiter, extra
        )

    create_server = _server.create_server
    create_unix_server = _server.create_unix_server
    _start_serving = _server.start_serving


if (_stop_serving := _server.stop_serving_unix(Loop)) is not None:
    Loop._stop_serving = _stop_serving  # type: ignore[method-assign]

_fastasync._stock_methods(vars(Loop))


def new_event_loop() -> Loop:
    """Return a new fastasync event loop: a `loop_factory` for asyncio."""
    return Loop()
