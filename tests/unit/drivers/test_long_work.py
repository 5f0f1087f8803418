"""Blocking work in threads: its progress, its end, and the end of whoever waits for it."""

import asyncio
import threading

import pytest

from bakehouse.drivers.long_work import Abandoned, Work, in_thread


async def test_the_result_comes_back() -> None:
    assert await in_thread(lambda _: 7) == 7


async def test_an_error_comes_back() -> None:
    def fail(_: Work) -> None:
        raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        await in_thread(fail)


async def test_progress_is_told_in_steps_and_ends_at_one() -> None:
    seen: list[float] = []

    def count(work: Work) -> None:
        for done in range(10_001):
            work.report(done, 10_000)
        work.report(10_000, 10_000)

    await in_thread(count, seen.append)

    assert (seen == sorted(set(seen)), seen[-1], len(seen) <= 102) == (True, 1.0, True)


async def test_nothing_to_do_is_done() -> None:
    seen: list[float] = []

    await in_thread(lambda work: work.report(0, 0), seen.append)

    assert seen == [1.0]


async def test_work_that_nobody_waits_for_ends_before_its_caller_does() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work_on(work: Work) -> None:
        begun.set()
        try:
            while True:
                work.check()
        except Abandoned:
            ended.set()
            raise

    task = asyncio.create_task(in_thread(work_on))
    await asyncio.to_thread(begun.wait)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()
