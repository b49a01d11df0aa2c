"""What asyncio's methods take by name, ours take by name."""

import asyncio
import socket

import pytest

import fastasync


@pytest.fixture(params=["asyncio", "fastasync"])
def loop(request):
    if request.param == "asyncio":
        loop = asyncio.SelectorEventLoop()
    else:
        loop = fastasync.new_event_loop()
    yield loop
    loop.close()


async def three():
    return 3


def test_loop_methods(loop):
    assert loop.run_until_complete(future=three()) == 3
    loop.set_task_factory(factory=None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(fd=ours, callback=print)
        loop.add_writer(fd=ours, callback=print)
        assert loop.remove_reader(fd=ours) is True
        assert loop.remove_writer(fd=ours) is True


def test_transport_methods(loop):
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)

    async def main():
        transport, protocol = await loop.create_connection(
            protocol_factory=asyncio.Protocol, sock=ours
        )
        transport.write(data=b"one")
        transport.writelines(list_of_data=[b"two", b"three"])
        transport.set_protocol(protocol=protocol)
        transport.close()
        await asyncio.sleep(0)

    with theirs:
        loop.run_until_complete(main())
        assert theirs.recv(20, socket.MSG_WAITALL) == b"onetwothree"


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.run_until_complete(),
        lambda loop: loop.run_until_complete(1, 2),
        lambda loop: loop.run_until_complete(fut=1),
        lambda loop: loop.remove_reader(),
        lambda loop: loop.remove_writer(1, fd=1),
        lambda loop: loop.set_task_factory(),
    ],
)
def test_wrong_calls(call):
    """One parser reads the argument of every loop: its words are asyncio's."""
    texts = []
    for loop in asyncio.SelectorEventLoop(), fastasync.new_event_loop():
        with pytest.raises(TypeError) as caught:
            call(loop)
        texts.append(str(caught.value))
        loop.close()
    assert texts[0] == texts[1]
