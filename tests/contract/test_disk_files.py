"""What every driver of disk files does, the fake and the real one. Needs qemu-img, no virtual machine."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.disks import MIB, filled_volume, snapshot_content, write

from bakehouse.drivers.volumes.fake import FakeDiskFiles, FakeVolumeStore
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.disk_files import CannotExport, DiskFiles, ExportFormat, NotAPack
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull, SweepReport, VolumeStore

GIB = 1 << 30
DOCUMENT = {"name": "shop", "devices": [{"device_name": "/dev/xvda", "size_gib": 8}]}


@dataclass
class Driver:
    volumes: VolumeStore
    files: DiskFiles


def fake_driver(_: Path) -> Driver:
    volumes = FakeVolumeStore()
    return Driver(volumes, FakeDiskFiles(volumes))


def qcow2_driver(directory: Path) -> Driver:
    volumes = opened(directory / "store")
    return Driver(volumes, volumes.files)


def opened(root: Path, *, reserve_bytes: int = 0, owner: tuple[int, int] | None = None) -> Qcow2VolumeStore:
    return Qcow2VolumeStore(root, live=NoLiveDisks(), owner=owner, reserve_bytes=reserve_bytes)


@pytest.fixture(params=[fake_driver, qcow2_driver], ids=["fake", "qcow2"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    make: Callable[[Path], Driver] = request.param
    return make(tmp_path)


async def snapshot(volumes: VolumeStore, snapshot_id: str, *, size_bytes: int = 8 * MIB) -> None:
    volume_id = "vol-" + snapshot_id.partition("-")[2]
    await volumes.create(volume_id, size_bytes=size_bytes, snapshot_id=None)
    await volumes.snapshot({volume_id: snapshot_id}, machine_id=None)


@pytest.mark.parametrize("file_format", ExportFormat)
async def test_an_exported_disk_can_be_imported_again(
    driver: Driver, tmp_path: Path, file_format: ExportFormat
) -> None:
    await snapshot(driver.volumes, "snap-1")
    path = tmp_path / "disk"

    size_bytes = await driver.files.export("snap-1", path, file_format=file_format)

    taken = await driver.volumes.import_file("snap-2", path, expected_format=file_format)
    assert (taken.size_bytes, taken.source_format) == (8 * MIB, file_format)
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (size_bytes, 0o600)


@pytest.mark.parametrize("file_format", ExportFormat)
async def test_an_exported_file_is_examined_as_what_it_is(
    driver: Driver, tmp_path: Path, file_format: ExportFormat
) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.files.export("snap-1", tmp_path / "disk", file_format=file_format)

    found = await driver.files.examine(tmp_path / "disk")

    assert (str(found.format), [disk.size_bytes for disk in found.disks]) == (str(file_format), [8 * MIB])


async def test_an_export_replaces_the_file_at_its_path(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    (tmp_path / "disk").write_bytes(b"x" * 9 * MIB)

    await driver.files.export("snap-1", tmp_path / "disk", file_format=ExportFormat.RAW)

    assert (tmp_path / "disk").read_bytes() == bytes(8 * MIB)


async def test_the_progress_of_an_export_ends_at_one(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    seen: list[float] = []

    await driver.files.export("snap-1", tmp_path / "disk", file_format=ExportFormat.VMDK, progress=seen.append)

    assert (seen == sorted(seen), seen[-1]) == (True, 1.0)


async def test_an_unknown_snapshot_is_neither_exported_nor_packed(driver: Driver, tmp_path: Path) -> None:
    with pytest.raises(NoSuchSnapshot):
        await driver.files.export("snap-1", tmp_path / "disk", file_format=ExportFormat.RAW)
    with pytest.raises(NoSuchSnapshot):
        await driver.files.pack(tmp_path / "disk", {}, ["snap-1"])

    assert not (tmp_path / "disk").exists()


async def test_a_disk_too_large_for_its_format_is_refused(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1", size_bytes=2041 * GIB)

    with pytest.raises(CannotExport, match="2041 GiB"):
        await driver.files.export("snap-1", tmp_path / "disk", file_format=ExportFormat.VHD)


async def test_a_pack_says_what_is_in_it(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1", size_bytes=8 * MIB)
    await snapshot(driver.volumes, "snap-2", size_bytes=3 * MIB)

    size_bytes = await driver.files.pack(tmp_path / "pack", DOCUMENT, ["snap-1", "snap-2"])

    contents = await driver.files.contents(tmp_path / "pack")
    assert (contents.document, contents.disk_sizes_bytes) == (DOCUMENT, (8 * MIB, 3 * MIB))
    assert (tmp_path / "pack").stat().st_size == size_bytes


async def test_a_pack_makes_snapshots_of_its_sizes(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1", size_bytes=8 * MIB)
    await driver.files.pack(tmp_path / "pack", {}, ["snap-1"])

    await driver.files.unpack(tmp_path / "pack", ["snap-3"])

    await driver.volumes.create("vol-3", size_bytes=8 * MIB, snapshot_id="snap-3")
    with pytest.raises(ValueError, match="at least"):
        await driver.volumes.create("vol-4", size_bytes=7 * MIB, snapshot_id="snap-3")


async def test_a_pack_unpacked_again_changes_nothing(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.files.pack(tmp_path / "pack", {}, ["snap-1"])
    await driver.files.unpack(tmp_path / "pack", ["snap-2"])
    before = await driver.volumes.inventory()

    await driver.files.unpack(tmp_path / "pack", ["snap-2"])

    assert await driver.volumes.inventory() == before


async def test_the_progress_of_packing_and_unpacking_ends_at_one(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    packing: list[float] = []
    unpacking: list[float] = []

    await driver.files.pack(tmp_path / "pack", {}, ["snap-1"], progress=packing.append)
    await driver.files.unpack(tmp_path / "pack", ["snap-2"], progress=unpacking.append)

    assert (packing == sorted(packing), packing[-1]) == (True, 1.0)
    assert (unpacking == sorted(unpacking), unpacking[-1]) == (True, 1.0)


@pytest.mark.parametrize("content", [b"", b"x" * MIB, b"Bakehouse pack\0\1"], ids=["nothing", "noise", "a start"])
async def test_a_foreign_file_is_no_pack(driver: Driver, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pack").write_bytes(content)

    with pytest.raises(NotAPack):
        await driver.files.contents(tmp_path / "pack")
    with pytest.raises(NotAPack):
        await driver.files.unpack(tmp_path / "pack", ["snap-1"])

    assert (await driver.volumes.inventory()).snapshot_ids == frozenset()


async def test_a_pack_is_unpacked_into_as_many_snapshots_as_it_has_disks(driver: Driver, tmp_path: Path) -> None:
    await snapshot(driver.volumes, "snap-1")
    await driver.files.pack(tmp_path / "pack", {}, ["snap-1"])

    with pytest.raises(ValueError, match=r"ids|shorter|longer"):
        await driver.files.unpack(tmp_path / "pack", ["snap-2", "snap-3"])

    assert (await driver.volumes.inventory()).snapshot_ids == {"snap-1"}


# What only a driver with bytes can show.


async def chain(store: Qcow2VolumeStore, snapshot_id: str) -> bytes:
    """Make a snapshot over another one; return its content: data, a hole, and what was written last."""
    path = await filled_volume(store, "vol-a", 7)
    await store.snapshot({"vol-a": "snap-below"}, machine_id=None)
    path = (await store.connect("vol-a")).path
    write(path, 9, at=MIB // 2, length=4096)
    await store.snapshot({"vol-a": snapshot_id}, machine_id=None)
    return b"\x07" * (MIB // 2) + b"\x09" * 4096 + b"\x07" * (MIB // 2 - 4096)


@pytest.mark.parametrize("file_format", ExportFormat)
async def test_an_exported_disk_has_the_content_of_the_whole_chain(tmp_path: Path, file_format: ExportFormat) -> None:
    store = opened(tmp_path / "store")
    content = await chain(store, "snap-1")

    await store.files.export("snap-1", tmp_path / "disk", file_format=file_format)

    await store.import_file("snap-2", tmp_path / "disk")
    assert await snapshot_content(store, "snap-2", MIB, tmp_path) == content


async def test_a_packed_disk_has_the_content_of_the_whole_chain(tmp_path: Path) -> None:
    store, other = opened(tmp_path / "store"), opened(tmp_path / "other")
    content = await chain(store, "snap-1")
    await filled_volume(store, "vol-b", 5)
    await store.snapshot({"vol-b": "snap-b"}, machine_id=None)

    await store.files.pack(tmp_path / "pack", {}, ["snap-1", "snap-b"])
    await other.files.unpack(tmp_path / "pack", ["snap-2", "snap-3"])

    assert await snapshot_content(other, "snap-2", MIB, tmp_path) == content
    assert await snapshot_content(other, "snap-3", MIB, tmp_path) == b"\x05" * MIB


async def test_an_imported_disk_is_packed_as_it_is(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    data = os.urandom(MIB) + bytes(70 * MIB) + os.urandom(MIB + 512)
    (tmp_path / "disk").write_bytes(data)
    await store.import_file("snap-1", tmp_path / "disk")

    await store.files.pack(tmp_path / "pack", {}, ["snap-1"])
    await store.files.unpack(tmp_path / "pack", ["snap-2"])

    assert await snapshot_content(store, "snap-2", len(data), tmp_path) == data
    assert (tmp_path / "store" / "layers" / "snap-2.0.raw").stat().st_blocks * 512 < 3 * MIB


async def test_a_pack_of_an_empty_disk_is_small_and_quick(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    await snapshot(store, "snap-1", size_bytes=2048 * GIB)

    size_bytes = await store.files.pack(tmp_path / "pack", {}, ["snap-1"])

    assert size_bytes < 1000


async def test_a_damaged_pack_makes_no_snapshot_and_leaves_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    await filled_volume(store, "vol-a", 7)
    await store.snapshot({"vol-a": "snap-1"}, machine_id=None)
    await store.files.pack(tmp_path / "pack", {}, ["snap-1"])
    damaged = bytearray((tmp_path / "pack").read_bytes())
    damaged[-100] ^= 1
    (tmp_path / "pack").write_bytes(damaged)

    with pytest.raises(NotAPack, match="checksum"):
        await store.files.unpack(tmp_path / "pack", ["snap-2"])

    assert (await store.inventory()).snapshot_ids == {"snap-1"}
    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)


@pytest.mark.parametrize("what", ["export", "pack", "unpack"])
async def test_no_room_is_said_before_anything_is_written(tmp_path: Path, what: str) -> None:
    store = opened(tmp_path / "store")
    await filled_volume(store, "vol-a", 7)
    await store.snapshot({"vol-a": "snap-1"}, machine_id=None)
    await store.files.pack(tmp_path / "pack", {}, ["snap-1"])
    full = opened(tmp_path / "store", reserve_bytes=1 << 60).files
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "export": lambda: full.export("snap-1", tmp_path / "new", file_format=ExportFormat.VMDK),
        "pack": lambda: full.pack(tmp_path / "new", {}, ["snap-1"]),
        "unpack": lambda: full.unpack(tmp_path / "pack", ["snap-2"]),
    }

    with pytest.raises(StorageFull):
        await calls[what]()

    assert not (tmp_path / "new").exists()
    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)


@pytest.mark.parametrize("what", ["export", "pack", "unpack"])
async def test_what_is_cancelled_leaves_nothing(tmp_path: Path, what: str) -> None:
    store = opened(tmp_path / "store")
    (tmp_path / "disk").write_bytes(os.urandom(32 * MIB))
    await store.import_file("snap-1", tmp_path / "disk")
    await store.files.pack(tmp_path / "pack", {}, ["snap-1"])
    begun = asyncio.Event()

    def progress(_: float) -> None:
        begun.set()

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "export": lambda: store.files.export(
            "snap-1", tmp_path / "new", file_format=ExportFormat.VMDK, progress=progress
        ),
        "pack": lambda: store.files.pack(tmp_path / "new", {}, ["snap-1"], progress=progress),
        "unpack": lambda: store.files.unpack(tmp_path / "pack", ["snap-2"], progress=progress),
    }
    task = asyncio.ensure_future(calls[what]())
    await begun.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not (tmp_path / "new").exists()
    assert (await store.inventory()).snapshot_ids == {"snap-1"}
    assert await store.sweep(remove=False) == SweepReport(files=(), bytes_freed=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_as_root_the_exported_file_is_ours_alone(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if directory.owner() == "root" and not directory.stat().st_mode & 0o001:
            directory.chmod(0o711)
    store = opened(tmp_path / "store", owner=(65534, 65534))
    content = await chain(store, "snap-1")

    await store.files.export("snap-1", tmp_path / "disk", file_format=ExportFormat.RAW)

    status = (tmp_path / "disk").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (0, 0o600)
    assert (tmp_path / "disk").read_bytes() == content
