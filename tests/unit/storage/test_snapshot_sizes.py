"""The full sizes of snapshots."""

import pytest
from tests.world import World

from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, BlocksUnreadable
from bakehouse.ports.volumes import NoSuchSnapshot


@pytest.fixture
def blocks(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, int | Exception]:
    """How many blocks the volume store is to say that a snapshot has, or why it cannot."""
    counts: dict[str, int | Exception] = {}

    async def count(snapshot_id: str) -> range:
        found = counts.get(snapshot_id, 0)
        if isinstance(found, Exception):
            raise found
        return range(found)

    monkeypatch.setattr(world.volumes.blocks, "blocks", count)
    return counts


async def test_a_snapshot_is_measured_once(world: World, blocks: dict[str, int | Exception]) -> None:
    snapshot = await world.snapshot()
    blocks[snapshot.id] = 3
    await world.app.snapshot_sizes.measure()
    blocks[snapshot.id] = 4

    await world.app.snapshot_sizes.measure()

    assert world.store.snapshots[snapshot.id].full_size_bytes == 3 * BLOCK_BYTES


async def test_an_unfinished_snapshot_is_not_measured(world: World, blocks: dict[str, int | Exception]) -> None:
    snapshot = await world.snapshot(state=SnapshotState.PENDING)
    blocks[snapshot.id] = AssertionError("measured")

    await world.app.snapshot_sizes.measure()

    assert world.store.snapshots[snapshot.id].full_size_bytes is None


@pytest.mark.parametrize("failure", [NoSuchSnapshot(), BlocksUnreadable()])
async def test_one_that_cannot_be_read_keeps_no_other_from_being_measured(
    world: World, blocks: dict[str, int | Exception], failure: Exception
) -> None:
    unreadable, other = await world.snapshot(), await world.snapshot()
    blocks.update({unreadable.id: failure, other.id: 1})

    await world.app.snapshot_sizes.measure()

    sizes = [world.store.snapshots[it.id].full_size_bytes for it in (unreadable, other)]
    assert sizes == [None, BLOCK_BYTES]


async def test_an_archived_snapshot_keeps_its_size(world: World, blocks: dict[str, int | Exception]) -> None:
    snapshot = await world.snapshot()
    blocks[snapshot.id] = 5
    await world.app.snapshot_sizes.measure()

    await world.app.snapshot_tiers.archive(world.caller, snapshot.id)
    await world.sagas.settle()

    assert world.store.snapshots[snapshot.id].full_size_bytes == 5 * BLOCK_BYTES


async def test_more_than_one_group_is_measured_in_turns(world: World, blocks: dict[str, int | Exception]) -> None:
    snapshots = [await world.snapshot() for _ in range(250)]
    assert not blocks

    for _ in range(2):
        await world.app.snapshot_sizes.measure()

    assert {world.store.snapshots[it.id].full_size_bytes for it in snapshots} == {0}


async def test_nothing_is_kept_of_an_unreadable_one_that_was_deleted(
    world: World, blocks: dict[str, int | Exception]
) -> None:
    snapshot = await world.snapshot()
    blocks[snapshot.id] = BlocksUnreadable()
    await world.app.snapshot_sizes.measure()
    async with world.store.transaction() as tx:
        tx.delete(snapshot)

    await world.app.snapshot_sizes.measure()

    assert world.app.snapshot_sizes._unreadable == set()
