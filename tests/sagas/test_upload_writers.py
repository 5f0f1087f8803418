"""Blocks of one snapshot that come at once, and while it is completed."""

import asyncio
from hashlib import sha256
from typing import Any

import pytest
from tests.sagas import uploading
from tests.world import World

from bakehouse.app.snapshot_blocks import BlockWrite
from bakehouse.domain.errors import ServiceError
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES


class Held:
    """Calls of one method of the port, each of which waits until a test lets it go on."""

    def __init__(self, blocks: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._gates: asyncio.Queue[asyncio.Event] = asyncio.Queue()
        self._call = getattr(blocks, method)
        monkeypatch.setattr(blocks, method, self._wait)

    async def next(self) -> asyncio.Event:
        """Return the gate of the next call, once it is there."""
        async with asyncio.timeout(30):
            return await self._gates.get()

    async def _wait(self, *arguments: Any, **named: Any) -> Any:
        gate = asyncio.Event()
        self._gates.put_nowait(gate)
        await gate.wait()
        return await self._call(*arguments, **named)


async def write(world: World, snapshot_id: str, letter: bytes) -> None:
    data = letter * BLOCK_BYTES
    block = BlockWrite(snapshot_id=snapshot_id, index=2, data=data, digest=sha256(data).digest())
    await world.app.snapshot_blocks.write(world.caller, block)


async def test_a_block_that_two_are_writing_conflicts_with_another_until_both_have_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_id = await uploading.written(world)
    held = Held(world.volumes.blocks, "write", monkeypatch)
    first, second = (asyncio.create_task(write(world, snapshot_id, b"a")) for _ in range(2))
    (await held.next()).set()
    gate = await held.next()
    await first

    with pytest.raises(ServiceError, match="being written with other data"):
        await write(world, snapshot_id, b"b")

    gate.set()
    await second


async def test_a_snapshot_that_is_being_completed_takes_no_more_blocks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_id = await uploading.written(world)
    held = Held(world.volumes.blocks, "complete", monkeypatch)
    completing = asyncio.create_task(uploading.complete(world, snapshot_id))
    gate = await held.next()

    with pytest.raises(ServiceError, match="not in the pending state"):
        await write(world, snapshot_id, b"a")

    gate.set()
    await completing
    assert world.store.snapshots[snapshot_id].state is SnapshotState.COMPLETED


async def test_a_snapshot_whose_blocks_are_being_written_is_not_completed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot_id = await uploading.written(world)
    held = Held(world.volumes.blocks, "write", monkeypatch)
    writing = asyncio.create_task(write(world, snapshot_id, b"a"))
    gate = await held.next()

    with pytest.raises(ServiceError, match="still being written"):
        await uploading.complete(world, snapshot_id)

    gate.set()
    await writing
    assert world.store.snapshots[snapshot_id].state is SnapshotState.PENDING
