"""What the archive of snapshots does, over the fake volume store and the real one. Needs qemu-img."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from tests.contract.disks import MIB, DiskMachine, filled_volume, opened, snapshot_content, volume_content, write
from tests.contract.killing import Killed, killed_at

from bakehouse.drivers.volumes.archive import PackedArchive
from bakehouse.drivers.volumes.fake import FakeDiskFiles, FakeVolumeStore
from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore
from bakehouse.ports.snapshot_archive import ArchiveDamaged, NoSuchArchive
from bakehouse.ports.volumes import NoSuchSnapshot, VolumeStore


@dataclass
class Driver:
    volumes: VolumeStore
    archive: PackedArchive


def fake_driver(directory: Path) -> Driver:
    volumes = FakeVolumeStore()
    return Driver(volumes, PackedArchive(directory / "archive", FakeDiskFiles(volumes)))


def qcow2_driver(directory: Path) -> Driver:
    volumes = opened(directory / "store", DiskMachine())
    return Driver(volumes, PackedArchive(directory / "archive", volumes.files))


@pytest.fixture(params=[fake_driver, qcow2_driver], ids=["fake", "qcow2"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    make: Callable[[Path], Driver] = request.param
    return make(tmp_path)


def nothing(_fraction: float) -> None:
    """Hear of progress and do nothing."""


async def snapshot(volumes: VolumeStore, snapshot_id: str) -> None:
    await volumes.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await volumes.snapshot({"vol-1": snapshot_id}, machine_id=None)


async def test_a_snapshot_is_archived_and_stays_where_it_is(driver: Driver) -> None:
    await snapshot(driver.volumes, "snap-1")
    told: list[float] = []

    await driver.archive.put("snap-1", told.append)

    assert await driver.archive.ids() == {"snap-1"}
    assert (await driver.volumes.inventory()).snapshot_ids == {"snap-1"}
    assert told == sorted(told)
    assert told[-1] == 1.0


async def test_an_archived_snapshot_comes_back_and_its_copy_stays(driver: Driver) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.archive.put("snap-1", nothing)
    await driver.volumes.delete_snapshot("snap-1")

    await driver.archive.take_out("snap-1", nothing)

    await driver.volumes.create("vol-2", size_bytes=MIB, snapshot_id="snap-1")
    assert await driver.archive.ids() == {"snap-1"}


async def test_every_method_may_be_repeated(driver: Driver) -> None:
    await snapshot(driver.volumes, "snap-1")
    for _ in range(2):
        await driver.archive.put("snap-1", nothing)
    for _ in range(2):
        await driver.archive.take_out("snap-1", nothing)
    for _ in range(2):
        await driver.archive.discard("snap-1")

    assert await driver.archive.ids() == frozenset()


async def test_what_is_not_there_is_not_archived_nor_taken_out(driver: Driver) -> None:
    with pytest.raises(NoSuchSnapshot):
        await driver.archive.put("snap-1", nothing)
    with pytest.raises(NoSuchArchive):
        await driver.archive.take_out("snap-1", nothing)

    assert await driver.archive.ids() == frozenset()


async def test_another_archive_on_the_same_folder_knows_what_is_there(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.archive.put("snap-1", nothing)
    (tmp_path / "archive" / "snap-2.pack.tmp").write_bytes(b"cut short")

    again = PackedArchive(tmp_path / "archive", driver.archive._disk_files)

    assert await again.ids() == {"snap-1"}
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["snap-1.pack"]


async def chain_of_snapshots(store: Qcow2VolumeStore) -> None:
    """Make snapshots of one volume: `snap-1` full of 1, `snap-2` with 2 in its second half, `snap-3` over them."""
    await filled_volume(store, "vol-1", 1)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    for number in (2, 3):
        write((await store.connect("vol-1")).path, number, at=MIB // 2, length=MIB // 2)
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id=None)


async def test_the_copy_is_whole_and_the_others_lose_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "store", DiskMachine())
    archive = PackedArchive(tmp_path / "archive", store.files)
    await chain_of_snapshots(store)

    await archive.put("snap-2", nothing)
    for snapshot_id in ("snap-1", "snap-2", "snap-3"):
        await store.delete_snapshot(snapshot_id)
    assert (await volume_content(store, "vol-1", tmp_path))[MIB // 2 :] == b"\x03" * (MIB // 2)
    await store.delete("vol-1")
    await store.sweep(remove=True)
    assert list((tmp_path / "store" / "layers").iterdir()) == []
    await archive.take_out("snap-2", nothing)

    read = await snapshot_content(store, "snap-2", MIB, tmp_path)
    assert read == b"\x01" * (MIB // 2) + b"\x02" * (MIB // 2)


async def test_an_archived_snapshot_takes_less_room(tmp_path: Path) -> None:
    store = opened(tmp_path / "store", DiskMachine())
    archive = PackedArchive(tmp_path / "archive", store.files)
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")

    await archive.put("snap-1", nothing)
    await store.delete_snapshot("snap-1")
    freed = await store.sweep(remove=True)

    assert freed.bytes_freed >= MIB
    assert (tmp_path / "archive" / "snap-1.pack").stat().st_size < MIB // 10


async def test_a_copy_that_has_gone_bad_is_not_taken_out(tmp_path: Path) -> None:
    store = opened(tmp_path / "store", DiskMachine())
    archive = PackedArchive(tmp_path / "archive", store.files)
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await archive.put("snap-1", nothing)
    await store.delete_snapshot("snap-1")
    path = tmp_path / "archive" / "snap-1.pack"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ArchiveDamaged):
        await archive.take_out("snap-1", nothing)

    assert (await store.inventory()).snapshot_ids == frozenset()


@pytest.mark.slow
async def test_a_move_killed_at_any_step_is_completed_by_the_same_calls(tmp_path: Path) -> None:
    async def move(store: Qcow2VolumeStore, archive: PackedArchive) -> None:
        """Archive a snapshot, free its blocks, restore it, and remove the copy."""
        if "snap-1" in (await store.inventory()).snapshot_ids:
            await archive.put("snap-1", nothing)
        await store.delete_snapshot("snap-1")
        await store.sweep(remove=True)
        await archive.take_out("snap-1", nothing)

    for step in count():
        folder = tmp_path / str(step)
        folder.mkdir()
        store = opened(folder / "store", DiskMachine())
        archive = PackedArchive(folder / "archive", store.files)
        await filled_volume(store, "vol-1", 7)
        await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
        await store.delete("vol-1")

        with killed_at(step) as begun:
            try:
                await move(store, archive)
            except Killed:
                pass
            else:
                break
        store = opened(folder / "store", DiskMachine())
        archive = PackedArchive(folder / "archive", store.files)
        await move(store, archive)
        await archive.discard("snap-1")
        await store.sweep(remove=True)

        assert await snapshot_content(store, "snap-1", MIB, folder) == b"\x07" * MIB, begun
        assert list((folder / "archive").iterdir()) == []
        assert list((folder / "store" / "incoming").iterdir()) == []


async def test_a_whole_copy_is_verified_and_its_size_known(driver: Driver) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.archive.put("snap-1", nothing)

    await driver.archive.verify("snap-1")

    assert (await driver.archive.sizes()).keys() == {"snap-1"}
    assert (await driver.archive.sizes())["snap-1"] > 0


async def test_a_copy_that_is_bad_or_gone_is_told(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.archive.put("snap-1", nothing)
    path = tmp_path / "archive" / "snap-1.pack"

    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveDamaged):
        await driver.archive.verify("snap-1")
    path.unlink()
    with pytest.raises(NoSuchArchive):
        await driver.archive.verify("snap-1")
    with pytest.raises(NoSuchArchive):
        await driver.archive.verify("snap-2")
