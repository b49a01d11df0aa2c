"""StreamReader under random use: ours and asyncio's do the same, all of it:
results, exceptions, order, buffer, what the transport is told."""

import sys

import pytest

import readers

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

TUPLES = sys.version_info >= (3, 13)

# Few different bytes, so that separators appear whole, in part and apart.
data = st.one_of(
    st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"ab", b"--", b"abc"]),
             max_size=12).map(b"".join),
    st.integers(0, 60).map(lambda n: b"x" * n),
)
separators = st.sampled_from([b"\n", b"\r\n", b"a", b"ab", b"abc", b"--",
                              b"", b"\r", bytearray(b"\n"),
                              bytearray(b"ab")])
if TUPLES:
    separators |= st.lists(
        st.sampled_from([b"\n", b"\r\n", b"a", b"ab", b"abc", b"--", b""]),
        max_size=4).map(tuple)

operations = st.one_of(
    st.tuples(st.just("feed"), data,
              st.sampled_from([bytes, bytearray, memoryview])),
    st.tuples(st.just("feed"), data, st.just(bytes)),
    st.tuples(st.just("read"), st.integers(-2, 40)),
    st.tuples(st.just("readexactly"), st.integers(-1, 40)),
    st.tuples(st.just("readline")),
    st.tuples(st.just("readuntil"), separators),
    st.tuples(st.just("__anext__")),
    st.tuples(st.just("_wait_for_data"), st.just("test")),
    st.tuples(st.just("spin"), st.integers(1, 3)),
    st.tuples(st.just("spin"), st.just(1)),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("transport"), st.booleans()),
    st.tuples(st.just("buffer"),
              st.sampled_from(["look", "add", "cut", "clear", "hold", "drop",
                               "view", "set"])),
)
endings = st.one_of(
    st.tuples(st.just("eof")),
    st.tuples(st.just("fail"), st.sampled_from([
        OSError("gone"),
        readers.asyncio.IncompleteReadError(b"part", 9),
        readers.asyncio.LimitOverrunError("too much", 1)])),
    st.tuples(st.just("limit"), st.integers(1, 30)),
)
scripts = st.lists(
    st.one_of(operations, operations, operations, operations, endings),
    max_size=25)


class Player:
    """Plays a script on one bench."""

    def __init__(self, bench):
        self.bench = bench
        self.reader = bench.reader
        self.held = None

    def play(self, script):
        for name, *args in script:
            do = getattr(self, "do_" + name, None)
            if do is None:
                self.bench.start(name, *args)
            else:
                do(*args)
            self.bench.look()
        self.do_drop()
        self.bench.spin(3)

    def do_feed(self, data, kind):
        self.bench.attempt(self.reader.feed_data, kind(data))

    def do_eof(self):
        self.bench.attempt(self.reader.feed_eof)

    def do_fail(self, error):
        error.__traceback__ = error.__context__ = None
        self.bench.attempt(self.reader.set_exception, error)

    def do_limit(self, limit):
        self.reader._limit = limit

    def do_spin(self, turns):
        self.bench.spin(turns)

    def do_cancel(self):
        self.bench.cancel()

    def do_transport(self, can_pause):
        self.bench.attempt(self.reader.set_transport,
                           readers.FakeTransport(self.bench, can_pause))

    def do_buffer(self, what):
        getattr(self, "buffer_" + what)(self.reader)

    def do_drop(self):
        if isinstance(self.held, memoryview):
            self.held.release()
        self.held = None

    def buffer_look(self, reader):
        self.bench.note(len(reader._buffer), bytes(reader._buffer),
                        type(reader._buffer).__name__)

    def buffer_add(self, reader):
        self.bench.attempt(reader._buffer.extend, b"added\n")

    def buffer_cut(self, reader):
        self.bench.attempt(reader._buffer.__delitem__, slice(2))

    def buffer_clear(self, reader):
        self.bench.attempt(reader._buffer.clear)

    def buffer_hold(self, reader):
        self.do_drop()
        self.held = reader._buffer

    def buffer_drop(self, reader):
        self.do_drop()

    def buffer_view(self, reader):
        self.do_drop()
        self.held = memoryview(reader._buffer)

    def buffer_set(self, reader):
        reader._buffer = bytearray(b"set\nby hand")


@pytest.mark.parametrize("make_class", [
    readers.plain_class, readers.subclass, readers.noisy])
def test_random_use(make_class):
    @hypothesis.settings(
        max_examples=300, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(scripts, st.sampled_from([1, 2, 4, 8, 30, 1 << 16]))
    def check(script, limit):
        readers.same(lambda bench: Player(bench).play(script), limit=limit,
                     make_class=make_class)

    check()


def chunks(text, cuts):
    """*text* in pieces that end at these places."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in zip(places, places[1:])]


texts = st.lists(
    st.sampled_from([b"a", b"b", b"ab", b"\n", b"line\n", b"--"]),
    max_size=60).map(b"".join)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True,
                     database=None,
                     suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(texts, st.lists(st.integers(0, 400)), separators,
                  st.sampled_from([3, 10, 1 << 16]))
def test_any_chunking(text, cuts, separator, limit):
    """A reader of one kind, waiting for each piece."""
    pieces = chunks(text, cuts)

    def script(bench):
        bench.reader.set_transport(readers.FakeTransport(bench))
        bench.start("readuntil", separator)
        for piece in pieces:
            bench.reader.feed_data(piece)
            bench.spin(2)
            if bench.tasks[-1].done():
                bench.start("readuntil", separator)
        bench.reader.feed_eof()
        bench.spin(3)

    readers.same(script, limit=limit)
