"""Copies of snapshots: a second name for the same layers, whatever becomes of the first."""

import asyncio
from pathlib import Path

import pytest
from tests.contract import disks
from tests.contract.disks import MIB, DiskMachine, filled_volume, opened, snapshot_content

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Qcow2VolumeStore:
    return opened(root, DiskMachine())


async def test_a_copy_reads_what_its_source_holds(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await store.copy_snapshot("snap-1", "snap-2")

    assert await snapshot_content(store, "snap-2", MIB, tmp_path) == b"\x07" * MIB


async def test_a_copy_takes_no_room_among_the_layers(store: Qcow2VolumeStore, root: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    before = sorted((root / "layers").iterdir())

    await store.copy_snapshot("snap-1", "snap-2")

    assert sorted((root / "layers").iterdir()) == before


async def test_a_sweep_keeps_what_only_a_copy_needs(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    """The chain below it too: the volume and both of its snapshots are gone."""
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    path = (await store.connect("vol-1")).path
    disks.write(path, 8, at=0, length=MIB // 2)
    await store.snapshot({"vol-1": "snap-2"}, machine_id=None)
    await store.copy_snapshot("snap-2", "snap-3")
    await store.delete("vol-1")
    await store.delete_snapshot("snap-1")
    await store.delete_snapshot("snap-2")

    await store.sweep(remove=True)

    assert await snapshot_content(store, "snap-3", MIB, tmp_path) == b"\x08" * (MIB // 2) + b"\x07" * (MIB // 2)


async def test_a_sweep_removes_the_layers_once_the_last_copy_is_gone(store: Qcow2VolumeStore, root: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.copy_snapshot("snap-1", "snap-2")
    await store.delete("vol-1")
    await store.delete_snapshot("snap-1")
    await store.delete_snapshot("snap-2")

    await store.sweep(remove=True)

    assert list((root / "layers").iterdir()) == []


async def test_a_copy_of_a_copy_is_as_good(store: Qcow2VolumeStore, root: Path, tmp_path: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.copy_snapshot("snap-1", "snap-2")
    await store.delete_snapshot("snap-1")
    await store.copy_snapshot("snap-2", "snap-3")
    await store.delete_snapshot("snap-2")
    await store.delete("vol-1")

    reopened = opened(root, DiskMachine())
    await reopened.sweep(remove=True)

    assert await snapshot_content(reopened, "snap-3", MIB, tmp_path) == b"\x07" * MIB


async def test_a_copy_while_a_sweep_is_at_work_keeps_its_layers(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")

    await asyncio.gather(
        store.sweep(remove=True),
        store.copy_snapshot("snap-1", "snap-2"),
        store.delete_snapshot("snap-1"),
        store.sweep(remove=True),
    )

    assert await snapshot_content(store, "snap-2", MIB, tmp_path) == b"\x07" * MIB
