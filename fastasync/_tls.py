"""How a loop gets its TLS connections: `ssl=` and `start_tls`.

The protocol and the transport are the C core's (`_fastasync.SSLProtocol`); what
stands here is asyncio's code around them, called once per connection.
"""

from __future__ import annotations

import asyncio
from asyncio import base_events, sslproto, streams
from typing import TYPE_CHECKING, Any

import _fastasync

if TYPE_CHECKING:
    import socket

__all__ = ("make_ssl_transport", "start_tls")

_THEIRS = sslproto.SSLProtocol


def _protocol_class() -> Any:
    """Return our SSLProtocol, unless somebody has replaced asyncio's."""
    if sslproto.SSLProtocol is not _THEIRS:
        return sslproto.SSLProtocol
    return _fastasync.SSLProtocol


def make_ssl_transport(
    self: Any,
    rawsock: socket.socket,
    protocol: asyncio.BaseProtocol,
    sslcontext: Any,
    waiter: Any = None,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    extra: dict[str, Any] | None = None,
    server: Any = None,
    context: Any = None,
    **timeouts: float | None,
) -> asyncio.Transport:
    """Make a TLS transport over a connected socket (_make_ssl_transport)."""
    self._ensure_fd_no_transport(rawsock)
    ssl_protocol = _protocol_class()(
        self,
        protocol,
        sslcontext,
        waiter,
        server_side,
        server_hostname,
        **timeouts,
    )
    self._make_socket_transport(
        rawsock, ssl_protocol, extra=extra, server=server, context=context
    )
    transport: asyncio.Transport = ssl_protocol._app_transport
    return transport


async def start_tls(
    self: Any,
    transport: Any,
    protocol: asyncio.BaseProtocol,
    sslcontext: Any,
    *,
    server_side: bool = False,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> asyncio.Transport:
    """Upgrade transport to TLS.

    Return a new transport that *protocol* should start using immediately.
    """
    ssl: Any = vars(base_events)["ssl"]  # None without the ssl module
    if ssl is None:
        raise RuntimeError("Python ssl module is not available")
    if not isinstance(sslcontext, ssl.SSLContext):
        raise TypeError(
            f"sslcontext is expected to be an instance of ssl.SSLContext, "
            f"got {sslcontext!r}"
        )
    if not getattr(transport, "_start_tls_compatible", False):
        raise TypeError(
            f"transport {transport!r} is not supported by start_tls()"
        )
    waiter = self.create_future()
    ssl_protocol = _protocol_class()(
        self,
        protocol,
        sslcontext,
        waiter,
        server_side,
        server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
        call_connection_made=False,
    )
    # nothing is to arrive before connection_made() has run
    transport.pause_reading()
    if server_side:
        _take_over(protocol, ssl_protocol)
    transport.set_protocol(ssl_protocol)
    made = self.call_soon(ssl_protocol.connection_made, transport)
    resumed = self.call_soon(transport.resume_reading)
    try:
        await waiter
    except BaseException:
        transport.close()
        made.cancel()
        resumed.cancel()
        raise
    upgraded: asyncio.Transport = ssl_protocol._app_transport
    return upgraded


def _take_over(protocol: asyncio.BaseProtocol, ssl_protocol: Any) -> None:
    """Give TLS what a stream has received already: a ClientHello that came
    with the last of the plaintext (gh-142352).
    """
    if not isinstance(protocol, streams.StreamReaderProtocol):
        return
    reader: Any = getattr(protocol, "_stream_reader", None)
    buffer = None if reader is None else reader._buffer
    if not buffer:
        return
    if isinstance(ssl_protocol, _fastasync.SSLProtocol):
        ssl_protocol._take_over(buffer)
    else:
        ssl_protocol._incoming.write(buffer)
    buffer.clear()
