"""What every volume store does, the fake and the real one. Needs qemu-img, no virtual machine."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.disks import MIB, held_open, qemu_img

from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.volumes import (
    NoSuchSnapshot,
    NoSuchVolume,
    SweepReport,
    UnsafeImage,
    VolumeInUse,
    VolumeStore,
)


@dataclass
class Driver:
    """A store, and what a test must be able to do to it from outside."""

    store: VolumeStore
    reopened: Callable[[], VolumeStore]
    """Open the same store once more, as a new server does."""
    held: Callable[[str, str], AbstractContextManager[None]]
    """Let a machine hold a volume, by id and path."""


def fake_driver(directory: Path) -> Driver:
    state_file = directory / "volumes.json"
    store = FakeVolumeStore(state_file)

    @contextmanager
    def held(volume_id: str, _: str) -> Iterator[None]:
        store.in_use.add(volume_id)
        yield
        store.in_use.discard(volume_id)

    return Driver(store, lambda: FakeVolumeStore(state_file), held)


def qcow2_driver(directory: Path) -> Driver:
    def opened() -> VolumeStore:
        return Qcow2VolumeStore(directory / "store", live=NoLiveDisks(), owner=None)

    return Driver(opened(), opened, lambda _, path: held_open(path))


@pytest.fixture(params=[fake_driver, qcow2_driver], ids=["fake", "qcow2"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    made: Driver = request.param(tmp_path)
    return made


@pytest.fixture
def store(driver: Driver) -> VolumeStore:
    return driver.store


async def test_a_new_store_is_empty(store: VolumeStore) -> None:
    inventory = await store.inventory()

    assert (inventory.volume_ids, inventory.snapshot_ids) == (frozenset(), frozenset())


async def test_a_volume_has_the_size_it_was_made_with(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=8 * MIB, snapshot_id=None)

    assert (await store.connect("vol-1")).size_bytes == 8 * MIB


async def test_a_volume_made_again_is_the_same_volume(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=8 * MIB, snapshot_id=None)
    before = await store.connect("vol-1")

    await store.create("vol-1", size_bytes=8 * MIB, snapshot_id=None)

    assert await store.connect("vol-1") == before


async def test_a_volume_over_an_unknown_snapshot_is_not_made(store: VolumeStore) -> None:
    with pytest.raises(NoSuchSnapshot):
        await store.create("vol-1", size_bytes=MIB, snapshot_id="snap-1")

    assert (await store.inventory()).volume_ids == frozenset()


async def test_a_volume_may_be_larger_than_its_snapshot(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await store.create("vol-2", size_bytes=4 * MIB, snapshot_id="snap-1")

    assert (await store.connect("vol-2")).size_bytes == 4 * MIB


async def test_a_volume_smaller_than_its_snapshot_is_refused(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=4 * MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    with pytest.raises(ValueError, match="at least 4194304"):
        await store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1")


@pytest.mark.parametrize("size_bytes", [0, -512, 1000])
async def test_a_size_that_is_no_number_of_sectors_is_refused(store: VolumeStore, size_bytes: int) -> None:
    with pytest.raises(ValueError, match="multiple of 512"):
        await store.create("vol-1", size_bytes=size_bytes, snapshot_id=None)


async def test_an_unknown_volume_cannot_be_connected(store: VolumeStore) -> None:
    with pytest.raises(NoSuchVolume):
        await store.connect("vol-1")


async def test_a_deleted_volume_is_gone(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)

    await store.delete("vol-1")

    assert (await store.inventory()).volume_ids == frozenset()


async def test_deleting_an_unknown_volume_does_nothing(store: VolumeStore) -> None:
    await store.delete("vol-1")


async def test_a_volume_that_a_machine_holds_is_not_deleted(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    path = (await driver.store.connect("vol-1")).path

    with driver.held("vol-1", path), pytest.raises(VolumeInUse):
        await driver.store.delete("vol-1")

    assert (await driver.store.inventory()).volume_ids == {"vol-1"}


async def test_a_volume_that_was_let_go_is_deleted(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    path = (await driver.store.connect("vol-1")).path
    with driver.held("vol-1", path):
        pass

    await driver.store.delete("vol-1")

    assert (await driver.store.inventory()).volume_ids == frozenset()


async def test_a_deleted_volume_can_be_made_again(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")

    await store.create("vol-1", size_bytes=2 * MIB, snapshot_id=None)

    assert (await store.connect("vol-1")).size_bytes == 2 * MIB


async def test_a_snapshot_of_several_volumes_makes_one_each(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.create("vol-2", size_bytes=MIB, snapshot_id=None)

    await store.snapshot({"vol-1": "snap-1", "vol-2": "snap-2"}, machine_id=None)

    assert (await store.inventory()).snapshot_ids == {"snap-1", "snap-2"}


async def test_a_snapshot_with_an_unknown_volume_takes_none(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)

    with pytest.raises(NoSuchVolume):
        await store.snapshot({"vol-1": "snap-1", "vol-2": "snap-2"}, machine_id=None)

    assert (await store.inventory()).snapshot_ids == frozenset()


async def test_a_snapshot_taken_again_changes_nothing(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    before = await store.connect("vol-1")

    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert await store.connect("vol-1") == before


async def test_a_snapshot_taken_again_after_its_volume_has_gone_succeeds(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")

    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert (await store.inventory()).snapshot_ids == {"snap-1"}


async def test_a_snapshot_outlives_its_volume(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")
    await store.sweep(remove=True)

    await store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1")

    assert (await store.inventory()).volume_ids == {"vol-2"}


async def test_a_copied_snapshot_has_the_size_of_its_source(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=4 * MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await store.copy_snapshot("snap-1", "snap-2")

    await store.create("vol-2", size_bytes=4 * MIB, snapshot_id="snap-2")
    with pytest.raises(ValueError, match="at least 4194304"):
        await store.create("vol-3", size_bytes=MIB, snapshot_id="snap-2")


async def test_a_copied_snapshot_outlives_its_source(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await driver.store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await driver.store.copy_snapshot("snap-1", "snap-2")

    await driver.store.delete_snapshot("snap-1")

    assert (await driver.reopened().inventory()).snapshot_ids == {"snap-2"}


async def test_a_snapshot_copied_again_after_its_source_has_gone_is_the_same(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.copy_snapshot("snap-1", "snap-2")
    await store.delete_snapshot("snap-1")

    await store.copy_snapshot("snap-1", "snap-2")

    assert (await store.inventory()).snapshot_ids == {"snap-2"}


async def test_an_unknown_snapshot_cannot_be_copied(store: VolumeStore) -> None:
    with pytest.raises(NoSuchSnapshot):
        await store.copy_snapshot("snap-1", "snap-2")

    assert (await store.inventory()).snapshot_ids == frozenset()


async def test_a_deleted_snapshot_is_gone(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await store.delete_snapshot("snap-1")

    assert (await store.inventory()).snapshot_ids == frozenset()


async def test_deleting_an_unknown_snapshot_does_nothing(store: VolumeStore) -> None:
    await store.delete_snapshot("snap-1")


@pytest.mark.parametrize("file_format", ["raw", "qcow2"])
async def test_an_imported_file_is_a_snapshot_of_its_size(store: VolumeStore, tmp_path: Path, file_format: str) -> None:
    qemu_img("create", "-f", file_format, tmp_path / "disk.img", str(3 * MIB))

    disk = await store.import_file("snap-1", tmp_path / "disk.img")

    assert (disk.size_bytes, disk.source_format) == (3 * MIB, file_format)


async def test_a_file_imported_again_answers_the_same_without_the_file(store: VolumeStore, tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk.img", str(3 * MIB))
    first = await store.import_file("snap-1", tmp_path / "disk.img")
    (tmp_path / "disk.img").unlink()

    assert await store.import_file("snap-1", tmp_path / "disk.img") == first


async def test_a_raw_file_is_rounded_up_to_whole_sectors(store: VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"x" * 1000)

    disk = await store.import_file("snap-1", tmp_path / "disk.img")

    assert disk.size_bytes == 1024


async def test_the_progress_of_an_import_ends_at_one(store: VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"x" * MIB)
    seen: list[float] = []

    await store.import_file("snap-1", tmp_path / "disk.img", progress=seen.append)

    assert seen[-1] == 1.0


async def test_a_refused_file_makes_no_snapshot(store: VolumeStore, tmp_path: Path) -> None:
    qemu_img("create", "-u", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", tmp_path / "disk.img", "1M")

    with pytest.raises(UnsafeImage, match="/etc/passwd"):
        await store.import_file("snap-1", tmp_path / "disk.img")

    assert (await store.inventory()).snapshot_ids == frozenset()


async def test_a_sweep_of_a_store_in_use_finds_nothing(store: VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert await store.sweep(remove=True) == SweepReport(files=(), bytes_freed=0)


async def test_a_reopened_store_knows_everything(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await driver.store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert await driver.reopened().inventory() == await driver.store.inventory()
