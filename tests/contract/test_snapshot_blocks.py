"""What every snapshot blocks store does, the fake and the real one. Needs qemu-img, no virtual machine."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, NoSuchUpload, UnrelatedSnapshots, WrongBlocks
from bakehouse.ports.volumes import NoSuchSnapshot, VolumeStore

ZEROS = bytes(BLOCK_BYTES)
SIZE = 64 * BLOCK_BYTES


@dataclass
class Driver:
    """A store, and the same one as a new server opens it."""

    store: VolumeStore
    reopened: Callable[[], VolumeStore]


def fake_driver(directory: Path) -> Driver:
    state_file = directory / "volumes.json"
    return Driver(FakeVolumeStore(state_file), lambda: FakeVolumeStore(state_file))


def qcow2_driver(directory: Path) -> Driver:
    def opened() -> VolumeStore:
        return Qcow2VolumeStore(directory / "store", live=NoLiveDisks(), owner=None)

    return Driver(opened(), opened)


@pytest.fixture(params=[fake_driver, qcow2_driver], ids=["fake", "qcow2"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    made: Driver = request.param(tmp_path)
    return made


@pytest.fixture
def store(driver: Driver) -> VolumeStore:
    return driver.store


@cache
def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


async def put(store: VolumeStore, snapshot_id: str, index: int, data: bytes) -> None:
    await store.blocks.write(snapshot_id, index, data, digest=sha256(data).digest())


async def uploaded(
    store: VolumeStore, snapshot_id: str, blocks: dict[int, bytes], *, parent_id: str | None = None, size: int = SIZE
) -> None:
    """Make a snapshot of blocks."""
    await store.blocks.begin(snapshot_id, size_bytes=size, parent_id=parent_id)
    await asyncio.gather(*(put(store, snapshot_id, index, data) for index, data in blocks.items()))
    await store.blocks.complete(snapshot_id)


async def content(store: VolumeStore, snapshot_id: str, count: int = SIZE // BLOCK_BYTES) -> dict[int, bytes]:
    """Return all blocks of a snapshot that are not zero, having read every one."""
    found = {}
    for index in range(count):
        data, digest = await store.blocks.read(snapshot_id, index)
        assert sha256(data).digest() == digest
        if data != ZEROS:
            found[index] = data
    return found


async def test_a_snapshot_has_what_was_written_to_it(store: VolumeStore) -> None:
    wanted = {3: block(1), 0: block(2), 63: block(3)}

    await uploaded(store, "snap-1", wanted)

    assert await content(store, "snap-1") == wanted
    assert list(await store.blocks.blocks("snap-1")) == [0, 3, 63]


async def test_blocks_that_nobody_wrote_are_not_listed(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {})

    assert list(await store.blocks.blocks("snap-1")) == []
    assert await content(store, "snap-1") == {}


async def test_blocks_of_zeros_are_not_listed(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {5: ZEROS, 6: block(1)})

    assert list(await store.blocks.blocks("snap-1")) == [6]


async def test_a_child_reads_through_to_its_parent(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1), 2: block(2), 3: block(3)})

    await uploaded(store, "snap-2", {2: block(4), 3: ZEROS, 9: block(5)}, parent_id="snap-1")

    assert await content(store, "snap-2") == {1: block(1), 2: block(4), 9: block(5)}
    assert list(await store.blocks.blocks("snap-2")) == [1, 2, 9]
    assert await content(store, "snap-1") == {1: block(1), 2: block(2), 3: block(3)}


async def test_a_child_may_be_larger_than_its_parent(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {63: block(1)})

    await uploaded(store, "snap-2", {127: block(2)}, parent_id="snap-1", size=2 * SIZE)

    assert await content(store, "snap-2", 128) == {63: block(1), 127: block(2)}


async def test_a_child_outlives_its_parent(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1)})
    await store.blocks.begin("snap-2", size_bytes=SIZE, parent_id="snap-1")
    await store.delete_snapshot("snap-1")
    await store.sweep(remove=True)
    await put(store, "snap-2", 2, block(2))

    await store.blocks.complete("snap-2")
    await store.sweep(remove=True)

    assert await content(store, "snap-2") == {1: block(1), 2: block(2)}


async def test_changed_blocks_are_those_written_since(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1), 2: block(2), 3: block(3)})
    await uploaded(store, "snap-2", {2: block(4), 3: ZEROS}, parent_id="snap-1")
    await uploaded(store, "snap-3", {9: block(5)}, parent_id="snap-2")
    await uploaded(store, "snap-4", {7: block(6)}, parent_id="snap-1")

    changed = store.blocks.changed_blocks
    assert list(await changed("snap-1", "snap-2")) == [2, 3]
    assert list(await changed("snap-1", "snap-3")) == [2, 3, 9]
    assert list(await changed("snap-2", "snap-4")) == [2, 3, 7]
    assert list(await changed("snap-3", "snap-3")) == []


async def test_snapshots_without_a_common_ancestor_are_unrelated(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1)})
    await uploaded(store, "snap-2", {1: block(1)})

    with pytest.raises(UnrelatedSnapshots):
        await store.blocks.changed_blocks("snap-1", "snap-2")


async def test_snapshots_of_a_volume_and_copies_are_related(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1)})
    await store.create("vol-1", size_bytes=SIZE, snapshot_id="snap-1")
    await store.snapshot({"vol-1": "snap-2"}, machine_id=None)
    await store.snapshot({"vol-1": "snap-3"}, machine_id=None)
    await store.copy_snapshot("snap-3", "snap-4")

    for first, second in [("snap-1", "snap-2"), ("snap-2", "snap-3"), ("snap-1", "snap-4")]:
        assert list(await store.blocks.changed_blocks(first, second)) == []
    assert list(await store.blocks.blocks("snap-4")) == [1]


async def test_a_block_written_again_is_replaced(store: VolumeStore) -> None:
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    for seed in range(5):
        await put(store, "snap-1", 4, block(seed))
    await put(store, "snap-1", 5, block(9))
    await put(store, "snap-1", 5, ZEROS)
    await store.blocks.complete("snap-1")

    assert await content(store, "snap-1") == {4: block(4)}


async def test_what_was_written_is_counted_and_summed_in_the_order_of_indexes(store: VolumeStore) -> None:
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    for index, seed in [(7, 1), (2, 2), (7, 3), (0, 4)]:
        await put(store, "snap-1", index, block(seed))

    written = await store.blocks.written("snap-1")

    digests = b"".join(sha256(block(seed)).digest() for seed in (4, 2, 3))
    assert (written.count, written.digest) == (3, sha256(digests).digest())


async def test_data_with_another_checksum_is_not_written(store: VolumeStore) -> None:
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)

    with pytest.raises(WrongBlocks):
        await store.blocks.write("snap-1", 1, block(1), digest=sha256(block(2)).digest())

    assert (await store.blocks.written("snap-1")).count == 0


@pytest.mark.parametrize(("index", "length"), [(-1, BLOCK_BYTES), (64, BLOCK_BYTES), (0, 512), (0, 0)])
async def test_what_is_no_block_of_the_disk_is_refused(store: VolumeStore, index: int, length: int) -> None:
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    data = bytes(length)

    with pytest.raises(ValueError, match="no block"):
        await store.blocks.write("snap-1", index, data, digest=sha256(data).digest())


@pytest.mark.parametrize("size", [0, 512, BLOCK_BYTES + 512, SIZE - BLOCK_BYTES])
async def test_a_size_that_cannot_be_is_refused(store: VolumeStore, size: int) -> None:
    await uploaded(store, "snap-1", {})

    with pytest.raises(ValueError, match="cannot have"):
        await store.blocks.begin("snap-2", size_bytes=size, parent_id="snap-1")

    assert await store.blocks.uploads() == frozenset()


async def test_a_parent_that_is_not_there_is_refused(store: VolumeStore) -> None:
    with pytest.raises(NoSuchSnapshot):
        await store.blocks.begin("snap-2", size_bytes=SIZE, parent_id="snap-1")

    assert await store.blocks.uploads() == frozenset()


async def test_an_upload_is_no_snapshot_before_it_is_complete(store: VolumeStore) -> None:
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)

    assert (await store.inventory()).snapshot_ids == frozenset()
    assert await store.blocks.uploads() == {"snap-1"}
    for reading in (store.blocks.blocks("snap-1"), store.blocks.read("snap-1", 0)):
        with pytest.raises(NoSuchSnapshot):
            await reading
    await store.blocks.complete("snap-1")
    assert (await store.inventory()).snapshot_ids == {"snap-1"}
    assert await store.blocks.uploads() == frozenset()


async def test_a_completed_snapshot_is_written_no_more_and_completed_twice_the_same(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1)})

    await store.blocks.complete("snap-1")
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)

    with pytest.raises(NoSuchUpload):
        await put(store, "snap-1", 1, block(2))
    assert await content(store, "snap-1") == {1: block(1)}


async def test_an_upload_that_is_cancelled_or_deleted_is_gone(store: VolumeStore) -> None:
    for snapshot_id, end in (("snap-1", store.blocks.cancel), ("snap-2", store.delete_snapshot)):
        await store.blocks.begin(snapshot_id, size_bytes=SIZE, parent_id=None)
        await put(store, snapshot_id, 1, block(1))
        await end(snapshot_id)
        await end(snapshot_id)

        for use in (put(store, snapshot_id, 1, block(1)), store.blocks.complete(snapshot_id)):
            with pytest.raises(NoSuchUpload):
                await use
    assert await store.blocks.uploads() == frozenset()


async def test_a_new_server_goes_on_with_an_upload(driver: Driver) -> None:
    await uploaded(driver.store, "snap-0", {8: block(8)})
    await driver.store.blocks.begin("snap-1", size_bytes=SIZE, parent_id="snap-0")
    await put(driver.store, "snap-1", 1, block(1))
    await put(driver.store, "snap-1", 2, block(2))
    await put(driver.store, "snap-1", 2, block(3))
    before = await driver.store.blocks.written("snap-1")

    again = driver.reopened()
    assert (await again.blocks.written("snap-1")).digest == before.digest
    await put(again, "snap-1", 3, block(4))
    await again.blocks.complete("snap-1")

    assert await content(again, "snap-1") == {1: block(1), 2: block(3), 3: block(4), 8: block(8)}
    assert await content(driver.reopened(), "snap-1") == {1: block(1), 2: block(3), 3: block(4), 8: block(8)}


async def test_a_volume_can_be_made_of_what_was_written(store: VolumeStore) -> None:
    await uploaded(store, "snap-1", {1: block(1)})

    await store.create("vol-1", size_bytes=SIZE, snapshot_id="snap-1")

    assert (await store.connect("vol-1")).size_bytes == SIZE


async def test_a_snapshot_that_is_not_there_cannot_be_read(store: VolumeStore) -> None:
    for reading in (
        store.blocks.blocks("snap-1"),
        store.blocks.read("snap-1", 0),
        store.blocks.changed_blocks("snap-1", "snap-1"),
    ):
        with pytest.raises(NoSuchSnapshot):
            await reading


async def test_many_writers_at_once_lose_nothing(store: VolumeStore) -> None:
    wanted = {index: block(index % 7) for index in range(64)}
    order = [*wanted, *wanted]
    random.Random(1).shuffle(order)
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)

    await asyncio.gather(*(put(store, "snap-1", index, wanted[index]) for index in order))
    await store.blocks.complete("snap-1")

    assert await content(store, "snap-1") == wanted


async def test_an_upload_that_is_completed_and_cancelled_at_once_is_one_or_the_other(store: VolumeStore) -> None:
    await store.blocks.begin("snap-1", size_bytes=SIZE, parent_id=None)
    await put(store, "snap-1", 1, block(1))

    outcomes = await asyncio.gather(
        *(store.blocks.complete("snap-1"), store.blocks.cancel("snap-1"), store.blocks.complete("snap-1")),
        return_exceptions=True,
    )

    assert all(outcome is None or isinstance(outcome, NoSuchUpload) for outcome in outcomes)
    assert await store.blocks.uploads() == frozenset()
    if "snap-1" in (await store.inventory()).snapshot_ids:
        assert await content(store, "snap-1") == {1: block(1)}
