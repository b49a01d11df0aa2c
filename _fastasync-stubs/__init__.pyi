# What the C extension shows to Python. A class here is the class of that name in
# asyncio with C inside, so it takes over asyncio's types; what is not asyncio's
# is written out. To a type checker Future and Task derive from asyncio's, for
# which isinstance() takes them; issubclass() does not (docs/differences.md).

import asyncio
import asyncio.sslproto
import socket
import ssl
import sys
from asyncio.coroutines import iscoroutine as iscoroutine
from asyncio.events import (
    _get_running_loop as _get_running_loop,
    get_running_loop as get_running_loop,
)
from asyncio.futures import isfuture as isfuture, wrap_future as wrap_future
from asyncio.streams import (
    open_connection as open_connection,
    open_unix_connection as open_unix_connection,
    start_server as start_server,
    start_unix_server as start_unix_server,
)
from asyncio.tasks import (
    as_completed as as_completed,
    create_task as create_task,
    current_task as current_task,
    ensure_future as ensure_future,
    gather as gather,
    run_coroutine_threadsafe as run_coroutine_threadsafe,
    shield as shield,
    sleep as sleep,
    wait as wait,
    wait_for as wait_for,
)
from asyncio.threads import to_thread as to_thread
from asyncio.timeouts import timeout as timeout, timeout_at as timeout_at
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import Context
from typing import (
    IO,
    Any,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    TypeVarTuple,
    final,
)

from _typeshed import FileDescriptorLike, ReadableBuffer, WriteableBuffer
from typing_extensions import disjoint_base

if sys.version_info >= (3, 14):
    from asyncio.futures import (
        future_add_to_awaited_by as future_add_to_awaited_by,
        future_discard_from_awaited_by as future_discard_from_awaited_by,
    )

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Ts = TypeVarTuple("_Ts")
_P = TypeVar("_P", bound=asyncio.BaseProtocol)
_Coroutine: TypeAlias = Coroutine[Any, Any, _T] | Generator[Any, None, _T]
_Awaitable: TypeAlias = Awaitable[_T] | Generator[Any, None, _T]
_SSL: TypeAlias = bool | None | ssl.SSLContext
_Stream: TypeAlias = int | IO[Any] | None
_Address: TypeAlias = tuple[Any, ...] | str | int | ReadableBuffer
_Factory: TypeAlias = Callable[[], asyncio.BaseProtocol]

# Futures, tasks, handles.

@disjoint_base
class Future(asyncio.Future[_T]): ...
@disjoint_base
class Task(asyncio.Task[_T_co]): ...
@disjoint_base
class Handle(asyncio.Handle):
    def __new__(
        cls,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: asyncio.AbstractEventLoop,
        context: Context | None = None,
    ) -> Self: ...

@disjoint_base
class TimerHandle(asyncio.TimerHandle):
    def __new__(
        cls,
        when: float,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: asyncio.AbstractEventLoop,
        context: Context | None = None,
    ) -> Self: ...

# What waits.

class Lock(asyncio.Lock): ...
class Event(asyncio.Event): ...
class Condition(asyncio.Condition): ...
class Semaphore(asyncio.Semaphore): ...
class BoundedSemaphore(Semaphore, asyncio.BoundedSemaphore): ...
class Barrier(asyncio.Barrier): ...
class Queue(asyncio.Queue[_T]): ...
class PriorityQueue(Queue[_T], asyncio.PriorityQueue[_T]): ...  # type: ignore[type-var]
class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]): ...
class TaskGroup(asyncio.TaskGroup): ...
@final
class Timeout(asyncio.Timeout): ...  # type: ignore[misc]  # final to typeshed only

# Streams, transports, servers.

class StreamReader(asyncio.StreamReader): ...
class StreamWriter(asyncio.StreamWriter): ...
class StreamReaderProtocol(asyncio.StreamReaderProtocol): ...

class SSLProtocol(asyncio.sslproto.SSLProtocol):
    _backend: str
    def _take_over(self, data: bytes | bytearray, /) -> None: ...

@final
class SSLTransport(asyncio.Transport):
    def get_read_buffer_size(self) -> int: ...
    def get_read_buffer_limits(self) -> tuple[int, int]: ...
    def set_read_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None: ...

def _tls_use_memory(on: bool, /) -> bool: ...

@disjoint_base
class SocketTransport(asyncio.Transport):
    max_size: int
    def __init__(
        self,
        loop: LoopCore,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: ServerCore | None = None,
        context: Context | None = None,
    ) -> None: ...

@disjoint_base
class DatagramSocketTransport(asyncio.Transport, asyncio.DatagramTransport):
    max_size: int
    def __init__(
        self,
        loop: LoopCore,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

@final
class ProcessTransport(asyncio.SubprocessTransport):
    """A child process and its pipes; only loops make it."""

@disjoint_base
class ReadPipeTransport(asyncio.ReadTransport):
    max_size: int
    def __init__(
        self,
        loop: LoopCore,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

@disjoint_base
class WritePipeTransport(asyncio.Transport):
    def __init__(
        self,
        loop: LoopCore,
        pipe: Any,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None: ...

@disjoint_base
class ServerCore:
    def __init__(
        self,
        loop: LoopCore,
        sockets: list[socket.socket],
        protocol_factory: _Factory,
        ssl_context: ssl.SSLContext | bool | None,
        backlog: int,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None = None,
        context: Context | None = None,
    ) -> None: ...
    @property
    def sockets(self) -> tuple[Any, ...]: ...
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def is_serving(self) -> bool: ...
    def close(self) -> None: ...
    def close_clients(self) -> None: ...
    def abort_clients(self) -> None: ...

def start_serving(
    loop: LoopCore,
    protocol_factory: _Factory,
    sock: socket.socket,
    sslcontext: ssl.SSLContext | None,
    server: ServerCore,
    backlog: int,
    ssl_handshake_timeout: float | None,
    ssl_shutdown_timeout: float | None,
    context: Context | None,
    /,
) -> None: ...

# The loop, without the methods that fastasync.Loop has in Python: it derives from
# this class and has its types from here. Signatures are those of asyncio's loop on
# Unix; where asyncio overloads a method, one signature stands for all of its forms.

@disjoint_base
class LoopCore:
    slow_callback_duration: float
    # Running.
    def run_forever(self) -> None: ...
    def run_until_complete(self, future: _Awaitable[_T]) -> _T: ...
    def stop(self) -> None: ...
    def is_running(self) -> bool: ...
    # May it be run while it, or another loop, runs in this thread? docs/nested.md
    allow_nested: bool
    def is_closed(self) -> bool: ...

    # Scheduling.
    def call_soon(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_soon_threadsafe(
        self,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def time(self) -> float: ...

    # Futures, tasks, threads.
    def create_future(self) -> asyncio.Future[Any]: ...
    # Python 3.13 takes eager_start since 3.13.3.
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: _Coroutine[_T],
            *,
            name: str | None = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> asyncio.Task[_T]: ...
    else:
        def create_task(
            self,
            coro: _Coroutine[_T],
            *,
            name: str | None = None,
            context: Context | None = None,
        ) -> asyncio.Task[_T]: ...

    def set_task_factory(self, factory: Any) -> None: ...
    def get_task_factory(self) -> Any: ...
    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]: ...

    # Names.
    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]: ...
    async def getnameinfo(
        self,
        sockaddr: tuple[str, int] | tuple[str, int, int, int],
        flags: int = 0,
    ) -> tuple[str, str]: ...

    # Connections and servers.
    if sys.version_info >= (3, 12):
        async def create_connection(
            self,
            protocol_factory: Callable[[], _P],
            host: str | None = None,
            port: int | str | None = None,
            *,
            ssl: _SSL = None,
            family: int = 0,
            proto: int = 0,
            flags: int = 0,
            sock: socket.socket | None = None,
            local_addr: tuple[str, int] | None = None,
            server_hostname: str | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            happy_eyeballs_delay: float | None = None,
            interleave: int | None = None,
            all_errors: bool = False,
        ) -> tuple[asyncio.Transport, _P]: ...
    else:
        async def create_connection(
            self,
            protocol_factory: Callable[[], _P],
            host: str | None = None,
            port: int | str | None = None,
            *,
            ssl: _SSL = None,
            family: int = 0,
            proto: int = 0,
            flags: int = 0,
            sock: socket.socket | None = None,
            local_addr: tuple[str, int] | None = None,
            server_hostname: str | None = None,
            ssl_handshake_timeout: float | None = None,
            ssl_shutdown_timeout: float | None = None,
            happy_eyeballs_delay: float | None = None,
            interleave: int | None = None,
        ) -> tuple[asyncio.Transport, _P]: ...

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], _P],
        path: str | None = None,
        *,
        ssl: _SSL = None,
        sock: socket.socket | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]: ...
    async def connect_accepted_socket(
        self,
        protocol_factory: Callable[[], _P],
        sock: socket.socket,
        *,
        ssl: _SSL = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> tuple[asyncio.Transport, _P]: ...

    # Pipes and subprocesses.
    async def connect_read_pipe(
        self, protocol_factory: Callable[[], _P], pipe: Any
    ) -> tuple[asyncio.ReadTransport, _P]: ...
    async def connect_write_pipe(
        self, protocol_factory: Callable[[], _P], pipe: Any
    ) -> tuple[asyncio.WriteTransport, _P]: ...
    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _P],
        program: Any,
        *args: Any,
        stdin: _Stream = -1,
        stdout: _Stream = -1,
        stderr: _Stream = -1,
        universal_newlines: Literal[False] = False,
        shell: Literal[False] = False,
        bufsize: Literal[0] = 0,
        encoding: None = None,
        errors: None = None,
        text: Literal[False] | None = None,
        **kwargs: Any,
    ) -> tuple[asyncio.SubprocessTransport, _P]: ...

    # File descriptors, sockets, signals.
    def add_reader(
        self, fd: FileDescriptorLike, callback: Callable[[*_Ts], Any], *args: *_Ts
    ) -> None: ...
    def remove_reader(self, fd: FileDescriptorLike) -> bool: ...
    def add_writer(
        self, fd: FileDescriptorLike, callback: Callable[[*_Ts], Any], *args: *_Ts
    ) -> None: ...
    def remove_writer(self, fd: FileDescriptorLike) -> bool: ...
    async def sock_recv(self, sock: socket.socket, n: int) -> bytes: ...
    async def sock_recv_into(
        self, sock: socket.socket, buf: WriteableBuffer
    ) -> int: ...
    async def sock_recvfrom(
        self, sock: socket.socket, bufsize: int
    ) -> tuple[bytes, Any]: ...
    async def sock_recvfrom_into(
        self, sock: socket.socket, buf: WriteableBuffer, nbytes: int = 0
    ) -> tuple[int, Any]: ...
    async def sock_sendall(self, sock: socket.socket, data: ReadableBuffer) -> None: ...
    async def sock_sendto(
        self, sock: socket.socket, data: ReadableBuffer, address: _Address
    ) -> int: ...
    async def sock_connect(self, sock: socket.socket, address: _Address) -> None: ...
    async def sock_accept(self, sock: socket.socket) -> tuple[socket.socket, Any]: ...
    def get_debug(self) -> bool: ...

# For fastasync/ only.

def _allow_nested(enable: bool, /) -> bool: ...
def _live_tasks() -> list[asyncio.Task[Any]]: ...
def _stock_methods(methods: Mapping[str, Any], /) -> None: ...
def _sizes() -> dict[str, int]: ...
