"""Transfers: turns, progress, and the two ways in which one ends early."""

import asyncio
from collections.abc import Callable

import pytest

from bakehouse.sagas.transfers import Transfer, TransferCancelled, Transfers


class Work:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.let_go = asyncio.Event()
        self.cut_short = False

    async def __call__(self, _transfer: Transfer) -> None:
        self.began.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cut_short = True
            raise


async def begun(transfers: Transfers, task_id: str) -> tuple[Work, asyncio.Task[None]]:
    work = Work()
    running = asyncio.create_task(transfers.run(task_id, work))
    await asyncio.wait_for(work.began.wait(), 30)
    return work, running


async def test_two_are_at_work_and_the_third_waits() -> None:
    transfers = Transfers()
    first, one = await begun(transfers, "a")
    second, two = await begun(transfers, "b")
    third = Work()
    three = asyncio.create_task(transfers.run("c", third))
    await asyncio.sleep(0)

    assert not third.began.is_set()

    first.let_go.set()
    await asyncio.wait_for(third.began.wait(), 30)
    second.let_go.set()
    third.let_go.set()
    await asyncio.gather(one, two, three)


async def test_a_cancelled_transfer_is_cut_short_and_says_so() -> None:
    transfers = Transfers()
    work, running = await begun(transfers, "a")

    transfers.cancel("a")

    with pytest.raises(TransferCancelled):
        await running
    assert work.cut_short


async def test_one_that_waits_for_its_turn_can_be_cancelled() -> None:
    transfers = Transfers(at_once=1)
    first, one = await begun(transfers, "a")
    second = Work()
    two = asyncio.create_task(transfers.run("b", second))
    await asyncio.sleep(0)

    transfers.cancel("b")

    with pytest.raises(TransferCancelled):
        await two
    assert not second.began.is_set()
    first.let_go.set()
    await one


async def test_a_server_that_stops_cuts_a_transfer_short_without_cancelling_it() -> None:
    transfers = Transfers()
    work, running = await begun(transfers, "a")

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert work.cut_short


async def test_a_turn_is_given_back_however_a_transfer_ends() -> None:
    transfers = Transfers(at_once=1)

    async def fail(_transfer: Transfer) -> None:
        raise OSError

    for _ in range(2):
        with pytest.raises(OSError):  # noqa: PT011 - which one does not matter
            await transfers.run("a", fail)
    _, running = await begun(transfers, "a")
    transfers.cancel("a")
    with pytest.raises(TransferCancelled):
        await running

    work, running = await begun(transfers, "b")
    work.let_go.set()
    await running


async def test_to_cancel_what_is_not_at_work_does_nothing() -> None:
    Transfers().cancel("a")


@pytest.mark.parametrize(
    ("step", "fraction"),
    [
        (lambda transfer: transfer.reached(0.4), 0.5),
        (lambda transfer: transfer.reached(7), 1.0),
        (lambda transfer: transfer.part(0.5, 0.7)(0.5), 0.6),
        (lambda transfer: transfer.part(0, 0.4)(1), 0.5),
    ],
)
def test_progress_never_goes_back_nor_beyond_its_end(step: Callable[[Transfer], None], fraction: float) -> None:
    transfer = Transfer(fraction=0.5)

    step(transfer)

    assert transfer.fraction == pytest.approx(fraction)


async def test_a_task_that_is_not_known_has_not_begun() -> None:
    transfers = Transfers()

    async def halve(transfer: Transfer) -> None:
        transfer.enters("converting")
        transfer.reached(0.5)

    await transfers.run("a", halve)

    assert (transfers.of("a").stage, transfers.of("a").fraction) == ("converting", 0.5)
    transfers.forget("a")
    assert (transfers.of("a").stage, transfers.of("a").fraction) == ("pending", 0)
