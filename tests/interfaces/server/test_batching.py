"""Batches of what has queued: at once when idle, fair to all, never mixed up, bounded, on one lane or several."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Hashable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.interfaces.server import batching
from nlptl.interfaces.server.batching import Batcher, Job, token_count
from nlptl.interfaces.server.refusal import RequestRefused


class Upper:
    """Computes the upper case of texts; holds each batch back until it may go on, if `held`."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.kinds: list[Hashable] = []
        self.may_go, self.begun = threading.Semaphore(0), threading.Semaphore(0)
        self.held = held

    def __call__(self, kind: Hashable, texts: Sequence[str]) -> list[str]:
        self.batches.append([*texts])
        self.kinds.append(kind)
        self.begun.release()
        if self.held:
            assert self.may_go.acquire(timeout=20)
        if "poison" in texts:
            raise ValueError("poison")
        return [text.upper() for text in texts]


def job(*texts: str, kind: Hashable = None) -> Job[list[str], bytes]:
    return Job(texts, kind=kind, write=lambda found, begin, end: [one.encode() for one in found[begin:end]])


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


async def begun(compute: Upper) -> None:
    assert await asyncio.to_thread(compute.begun.acquire, timeout=20)


def test_an_idle_model_serves_at_once() -> None:
    compute = Upper()

    async def ask() -> list[bytes]:
        return await Batcher(compute, limit=10).rows(job("a", "b"))

    assert run(ask()) == [b"A", b"B"]
    assert compute.batches == [["a", "b"]]


def test_no_timer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "call_later", lambda *_: pytest.fail("a timer was set"))
        monkeypatch.setattr(loop, "call_at", lambda *_: pytest.fail("a timer was set"))
        assert await Batcher(Upper(), limit=10).rows(job("a")) == [b"A"]

    asyncio.run(ask())


def test_what_queues_while_a_batch_runs_is_the_next_batch() -> None:
    compute = Upper(held=True)

    async def ask() -> None:
        batcher = Batcher(compute, limit=100)
        first = asyncio.ensure_future(batcher.rows(job("first")))
        await begun(compute)
        others = [asyncio.ensure_future(batcher.rows(job(f"text {number}"))) for number in range(20)]
        await asyncio.sleep(0)
        compute.may_go.release(2)
        assert await first == [b"FIRST"]
        assert [found for one in others for found in await one] == [f"TEXT {number}".encode() for number in range(20)]

    run(ask())
    assert compute.batches == [["first"], [f"text {number}" for number in range(20)]]


def test_a_long_request_does_not_hold_up_short_ones() -> None:
    compute = Upper()
    ends: list[str] = []

    async def ask() -> None:
        batcher = Batcher(compute, limit=20_000, max_budget=400)

        async def one(name: str, texts: Sequence[str]) -> None:
            assert await batcher.rows(job(*texts)) == [text.upper().encode() for text in texts]
            ends.append(name)

        long = asyncio.ensure_future(one("long", [f"long {number}" for number in range(5_000)]))
        await begun(compute)
        short = [asyncio.ensure_future(one("short", [f"short {number}"])) for number in range(10)]
        await asyncio.gather(long, *short)

    run(ask())
    places = [place for place, batch in enumerate(compute.batches) if any(text.startswith("short") for text in batch)]
    assert ends == ["short"] * 10 + ["long"]
    assert max(places) <= 3, "a short request waits for one batch or two"
    assert all(any(text.startswith("long") for text in compute.batches[place]) for place in places), "nor does the long"


def test_long_requests_share_a_batch() -> None:
    compute = Upper(held=True)

    async def ask() -> None:
        batcher = Batcher(compute, limit=20_000, max_budget=400)
        first = asyncio.ensure_future(batcher.rows(job("first")))
        await begun(compute)
        long = [asyncio.ensure_future(batcher.rows(job(*[f"{name} {n}" for n in range(300)]))) for name in "abc"]
        await asyncio.sleep(0)
        compute.may_go.release(100)
        await asyncio.gather(first, *long)

    run(ask())
    counts = [[sum(text.startswith(name) for text in batch) for name in "abc"] for batch in compute.batches[1:4]]
    assert all(min(each) > 0 for each in counts), counts


def test_free_lanes_share_a_request() -> None:
    compute = Upper(held=True)

    async def ask() -> list[bytes]:
        batcher = Batcher(compute, limit=100, lanes=2)
        asked = asyncio.ensure_future(batcher.rows(job(*[f"text {number}" for number in range(10)])))
        await begun(compute)
        await begun(compute)
        compute.may_go.release(2)
        return await asked

    assert run(ask()) == [f"TEXT {number}".encode() for number in range(10)]
    assert sorted(map(len, compute.batches)) == [5, 5]


def test_parts_of_a_request_may_end_in_any_order() -> None:
    second_is_done = threading.Event()

    def compute(kind: Hashable, texts: Sequence[str]) -> list[str]:
        if "0" in texts:
            assert second_is_done.wait(20)
        return [*texts]

    def write(found: list[str], begin: int, end: int) -> list[str]:
        if "9" in found:
            second_is_done.set()
        return found[begin:end]

    async def ask() -> list[str]:
        texts = [str(number) for number in range(10)]
        return await Batcher(compute, limit=100, lanes=2).rows(Job(texts, kind=None, write=write))

    assert run(ask()) == [str(number) for number in range(10)]


def test_a_lane_is_free_for_others_while_one_computes() -> None:
    release = threading.Event()

    def compute(kind: Hashable, texts: Sequence[str]) -> list[str]:
        assert "slow" not in texts or release.wait(20)
        return [*texts]

    async def ask() -> None:
        batcher = Batcher(compute, limit=100, lanes=2)
        slow = asyncio.ensure_future(batcher.rows(job("slow")))
        for number in range(3):
            assert await batcher.rows(job(f"quick {number}")) == [f"quick {number}".encode()]
        assert not slow.done()
        release.set()
        assert await slow == [b"slow"]

    run(ask())


def test_a_full_queue_refuses_with_the_time_after_which_it_is_shorter() -> None:
    compute = Upper(held=True)

    async def ask() -> None:
        batcher = Batcher(compute, limit=10)
        first = asyncio.ensure_future(batcher.rows(job("first")))
        await begun(compute)
        waits = asyncio.ensure_future(batcher.rows(job(*["waits"] * 8)))
        await asyncio.sleep(0)
        with pytest.raises(RequestRefused) as refused:
            await batcher.rows(job(*["more"] * 3))
        assert (refused.value.status, refused.value.code) == (429, "queue_full")
        assert refused.value.message == "The queue is full: 8 texts wait. Try again in 1 s."
        assert refused.value.headers == {"retry-after": "1"}
        compute.may_go.release(9)
        await asyncio.gather(first, waits)
        assert (batcher.texts_waiting, batcher.tokens_waiting) == (0, 0)
        assert len(await batcher.rows(job(*["more"] * 3))) == 3

    run(ask())


def test_the_time_to_wait_follows_from_the_measured_rate() -> None:
    def slowly(kind: Hashable, texts: Sequence[str]) -> list[str]:
        time.sleep(0.002 * len(texts))
        return [*texts]

    async def ask() -> tuple[int, int]:
        batcher = Batcher(slowly, limit=100_000, max_budget=100)
        for _ in range(20):  # 500 texts, or 1,500 tokens, a second
            await batcher.rows(job("abcd"))
        batcher.tokens_waiting = 30_000
        few = batcher.retry_after
        batcher.tokens_waiting = 10**9
        return few, batcher.retry_after

    few, many = run(ask())
    assert 15 <= few <= 45
    assert many == batching.MAX_RETRY


def test_a_request_that_alone_exceeds_the_queue_is_served_where_nothing_waits() -> None:
    async def ask() -> int:
        return len(await Batcher(Upper(), limit=10).rows(job(*["a"] * 50)))

    assert run(ask()) == 50


def test_a_cancelled_request_leaves_the_queue() -> None:
    compute = Upper(held=True)

    async def ask() -> None:
        batcher = Batcher(compute, limit=100)
        first = asyncio.ensure_future(batcher.rows(job("first")))
        await begun(compute)
        gone = asyncio.ensure_future(batcher.rows(job(*["gone"] * 50)))
        stays = asyncio.ensure_future(batcher.rows(job("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert batcher.texts_waiting == 1
        compute.may_go.release(9)
        assert await first + await stays == [b"FIRST", b"STAYS"]
        assert batcher.texts_waiting == 0

    run(ask())
    assert compute.batches == [["first"], ["stays"]]


def test_kinds_do_not_mix_within_a_batch() -> None:
    compute = Upper(held=True)

    async def ask() -> None:
        batcher = Batcher(compute, limit=100)
        first = asyncio.ensure_future(batcher.rows(job("first")))
        await begun(compute)
        others = [asyncio.ensure_future(batcher.rows(job(f"{n}", kind=n % 2))) for n in range(6)]
        await asyncio.sleep(0)
        compute.may_go.release(9)
        await asyncio.gather(first, *others)

    run(ask())
    assert (compute.batches[1:], compute.kinds[1:]) == ([["0", "2", "4"], ["1", "3", "5"]], [0, 1])


def test_a_text_that_fails_fails_alone() -> None:
    compute = Upper(held=True)

    async def ask() -> list[Any]:
        batcher = Batcher(compute, limit=100)
        first = asyncio.ensure_future(batcher.rows(job("first")))
        await begun(compute)
        others = [asyncio.ensure_future(batcher.rows(job(text))) for text in ("good", "poison", "fine")]
        await asyncio.sleep(0)
        compute.may_go.release(9)
        await first
        return await asyncio.gather(*others, return_exceptions=True)

    good, poison, fine = run(ask())
    assert (good, str(poison), fine) == ([b"GOOD"], "poison", [b"FINE"])


def test_a_quick_model_is_computed_without_a_thread() -> None:
    threads: list[str] = []

    def compute(kind: Hashable, texts: Sequence[str]) -> list[str]:
        threads.append(threading.current_thread().name)
        return [*texts]

    async def ask() -> None:
        batcher = Batcher(compute, limit=100)
        for _ in range(batching.LEARNT_BATCHES + 1):
            await batcher.rows(job("a"))

    run(ask())
    assert threads[0].startswith("nlptl-batch")
    assert threads[-1] == "MainThread"


@settings(max_examples=25, deadline=None)
@given(
    requests=st.lists(st.tuples(st.lists(st.text("abc", max_size=30), max_size=40), st.integers(0, 2)), max_size=30),
    budget=st.integers(1, 300), lanes=st.integers(1, 3), turns=st.integers(0, 3), data=st.data(),
)  # fmt: skip
def test_no_answer_is_ever_that_of_another_request(
    requests: list[tuple[list[str], int]], budget: int, lanes: int, turns: int, data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.integers(0, max(0, len(requests) - 1)), max_size=3))

    async def ask() -> list[Any]:
        batcher = Batcher(Upper(), limit=10_000, max_budget=budget, lanes=lanes)
        tasks = []
        for number, (texts, kind) in enumerate(requests):
            own = [f"{number}:{place}:{text}" for place, text in enumerate(texts)]
            tasks.append(asyncio.ensure_future(batcher.rows(job(*own, kind=kind))))
            for _ in range(turns):
                await asyncio.sleep(0)
            if number in gone:
                tasks[-1].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert (batcher.texts_waiting, batcher.tokens_waiting) == (0, 0)
        return found

    for number, ((texts, _), rows) in enumerate(zip(requests, run(ask()), strict=True)):
        if not isinstance(rows, asyncio.CancelledError):
            assert rows == [f"{number}:{place}:{text}".upper().encode() for place, text in enumerate(texts)]


def test_tokens_are_counted_by_characters_up_to_what_the_model_reads() -> None:
    assert [token_count(text, 100) for text in ("", "a film of words", "コロナウイルス", "x" * 10_000)] == [
        2,
        5,
        5,
        100,
    ]
    assert token_count("x" * 4_000, None) == 1_002
