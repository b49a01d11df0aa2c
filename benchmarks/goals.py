"""What fastasync is meant to reach, per row, relative to a column of the same run.

A goal is not a test: a noisy machine can miss one, and run.py only prints it.
"""

from dataclasses import dataclass

from loops import LIMIT


@dataclass(frozen=True)
class Goal:
    """`against` / ours >= times for a loop; ours / limit <= times for the limit."""

    against: str
    times: float

    def met(self, ratio: float) -> bool:
        return ratio <= self.times if self.against == LIMIT else ratio >= self.times


def _asyncio(**rows: float) -> dict[str, Goal]:
    return {row: Goal("asyncio", times) for row, times in rows.items()}


def _limit(**rows: float) -> dict[str, Goal]:
    return {row: Goal(LIMIT, times) for row, times in rows.items()}


# The loop alone, under a program that uses asyncio's names.
LOOP_ONLY: dict[str, Goal] = {
    **_asyncio(
        sleep0_1=6,
        call_soon_chain=12,
        call_soon_batch=5,
        call_soon_flood=5,
        call_soon_threadsafe=20,
        call_soon_threadsafe_flood=20,
        call_later_cancel=8,
        call_later_cancel_flood=8,
        await_create_task=8,
        future_set_result=8,
        gather_nop=2,
        run_entry=1,
        eager_tree=1,
        idle_task_bytes=1,
        connect_close=2.6,
        getaddrinfo_literal=60,
        cat_1mb=1.2,
        uvicorn_plaintext=1.7,
        aiohttp_plaintext=1.35,
        tls_proto_1k_x10=1.7,
        tls_proto_100k_x10=1.4,
        tls_stream_1k_x10=1.7,
        tls_stream_100k_x10=1.4,
        sendfile_1mb=1,
        pipe_1k=1.5,
        pipe_1mb=1,
        udp_burst=1.5,
    ),
    **_limit(
        tcp_proto_1k_x10=1.08,
        tcp_buf_1k_x10=1.08,
        udp_1k_x10=1.1,
        sock_1k_x10=1.35,
        sock_100k_x10=1.25,
        spawn_true=1.1,
    ),
    "idle_conn_bytes": Goal("uvloop", 1),
}

# The async_tree shapes of pyperformance: one goal for their average, not for each.
TREES = tuple(
    f"{prefix}{leaf}"
    for prefix, leaves in (
        ("tree_", ("none", "io", "memo", "mixed")),
        ("eager_tree", ("", "_io", "_memo", "_mixed")),
        ("tg_tree", ("", "_io", "_memo", "_mixed")),
    )
    for leaf in leaves
)


@dataclass(frozen=True)
class Average:
    """The geometric mean of the ratios to asyncio of several rows."""

    name: str
    rows: tuple[str, ...]
    goals: dict[str, float]  # by column: asyncio / ours >= this


AVERAGES = (Average("async_tree shapes", TREES, {"fastasync-install": 3.5}),)

# After fastasync.install(): our sleep, locks, queues and streams as well.
INSTALLED: dict[str, Goal] = {
    **LOOP_ONLY,
    **_asyncio(
        sleep0_1=12,
        queue_put_get=3,
        queue_pingpong=8,
        lock_uncontended=2.5,
        lock_contended=8,
        semaphore=7,
        event=6,
        condition=6,
        wait_for=6,
        timeout_cm=5,
        taskgroup=5,
        gather_nop=5,
        shield=8,
        wait=4,
        as_completed=4,
        cancel=5,
        sleep_timers=7,
    ),
    **_limit(
        stream_1k_x10=1.25,
        stream_line_1k_x10=1.25,
        stream_100k_x10=1.2,
        stream_line_100k_x10=1.2,
    ),
}

GOALS: dict[str, dict[str, Goal]] = {
    "fastasync": LOOP_ONLY,
    "fastasync-install": INSTALLED,
}
