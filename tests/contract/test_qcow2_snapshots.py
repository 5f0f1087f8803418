"""Snapshots of qcow2 volumes: their bytes, live machines, and crashes between any two steps."""

from pathlib import Path

import pytest
from tests.contract import disks
from tests.contract.disks import (
    MIB,
    DiskMachine,
    files,
    filled_volume,
    held_open,
    live_volumes,
    opened,
    snapshot_content,
    volume_content,
)

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore
from bakehouse.ports.volumes import StorageFull, VolumeInUse

MORE_THAN_ANY_DISK = 1 << 60


@pytest.fixture
def machine() -> DiskMachine:
    return DiskMachine()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path, machine: DiskMachine) -> Qcow2VolumeStore:
    return opened(root, machine)


async def test_a_volume_over_a_snapshot_reads_what_the_snapshot_holds(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await store.create("vol-2", size_bytes=2 * MIB, snapshot_id="snap-1")

    assert await volume_content(store, "vol-2", tmp_path) == b"\x07" * MIB + bytes(MIB)


async def test_what_is_written_after_a_snapshot_is_not_in_it(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    disks.write((await store.connect("vol-1")).path, 8, at=0, length=MIB)

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == b"\x07" * MIB


async def test_a_snapshot_copies_no_bytes(store: Qcow2VolumeStore, root: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    before = allocated(root)

    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert allocated(root) - before < MIB // 2


async def test_a_volume_over_a_snapshot_takes_less_than_a_mebibyte(store: Qcow2VolumeStore, root: Path) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    before = allocated(root)

    await store.create("vol-2", size_bytes=64 << 30, snapshot_id="snap-1")

    assert allocated(root) - before < MIB


def allocated(root: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())


async def test_the_layer_of_a_snapshot_is_read_only(store: Qcow2VolumeStore, root: Path) -> None:
    await filled_volume(store, "vol-1", 7)

    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert (root / "layers" / "vol-1.0.qcow2").stat().st_mode & 0o777 == 0o444


async def test_deleting_a_snapshot_in_the_middle_loses_nothing_above_it(
    store: Qcow2VolumeStore, tmp_path: Path
) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    disks.write((await store.connect("vol-1")).path, 8, at=0, length=65536)
    await store.snapshot({"vol-1": "snap-2"}, machine_id=None)

    await store.delete_snapshot("snap-1")
    await store.sweep(remove=True)

    assert await snapshot_content(store, "snap-2", MIB, tmp_path) == b"\x08" * 65536 + b"\x07" * (MIB - 65536)


async def test_a_sweep_frees_what_nothing_needs_any_more(store: Qcow2VolumeStore) -> None:
    await filled_volume(store, "vol-1", 7)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete("vol-1")
    await store.delete_snapshot("snap-1")

    report = await store.sweep(remove=True)

    assert (report.files, report.bytes_freed > MIB) == (
        ("layers/vol-1.0.qcow2", "layers/vol-1.1.qcow2"),
        True,
    )


async def test_a_sweep_that_only_looks_removes_nothing(store: Qcow2VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.delete("vol-1")

    looked = await store.sweep(remove=False)

    assert await store.sweep(remove=True) == looked


async def test_a_live_snapshot_switches_all_volumes_at_one_point_in_time(
    store: Qcow2VolumeStore, machine: DiskMachine
) -> None:
    await live_volumes(store, machine, "vol-1", "vol-2")

    await store.snapshot({"vol-1": "snap-1", "vol-2": "snap-2"}, machine_id="i-1")

    assert machine.switched == [frozenset({"vol-1", "vol-2"})]


async def test_a_live_machine_writes_on_to_the_top_that_a_restart_would_open(
    store: Qcow2VolumeStore, machine: DiskMachine
) -> None:
    await live_volumes(store, machine, "vol-1")

    await store.snapshot({"vol-1": "snap-1"}, machine_id="i-1")

    assert str(machine.tops["vol-1"]) == (await store.connect("vol-1")).path


async def test_a_live_snapshot_holds_what_was_written_before_it(
    store: Qcow2VolumeStore, machine: DiskMachine, tmp_path: Path
) -> None:
    await live_volumes(store, machine, "vol-1")
    machine.write("vol-1", 5)

    await store.snapshot({"vol-1": "snap-1"}, machine_id="i-1")
    machine.write("vol-1", 6)

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == b"\x05" * MIB


async def test_a_switch_that_is_refused_leaves_everything_as_it_was(
    store: Qcow2VolumeStore, machine: DiskMachine, root: Path
) -> None:
    await live_volumes(store, machine, "vol-1", "vol-2")
    before = files(root), await store.connect("vol-1"), await store.inventory()
    machine.refuse = RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await store.snapshot({"vol-1": "snap-1", "vol-2": "snap-2"}, machine_id="i-1")

    assert (files(root), await store.connect("vol-1"), await store.inventory()) == before


async def lose_an_answer(store: Qcow2VolumeStore, machine: DiskMachine) -> None:
    """Begin a snapshot for which the machine switches, and lose what it says of that."""
    machine.lose_after_switch = ConnectionError("the monitor is lost")
    with pytest.raises(ConnectionError):
        await store.snapshot({"vol-1": "snap-1"}, machine_id="i-1")
    machine.lose_after_switch = None


async def test_a_switch_whose_answer_was_lost_is_completed_by_the_same_call(
    store: Qcow2VolumeStore, machine: DiskMachine, tmp_path: Path
) -> None:
    await live_volumes(store, machine, "vol-1")
    machine.write("vol-1", 5)
    await lose_an_answer(store, machine)
    machine.write("vol-1", 6)

    await store.snapshot({"vol-1": "snap-1"}, machine_id="i-1")

    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == b"\x05" * MIB


async def test_a_switch_before_the_machine_died_loses_nothing(
    store: Qcow2VolumeStore, machine: DiskMachine, tmp_path: Path
) -> None:
    await live_volumes(store, machine, "vol-1")
    await lose_an_answer(store, machine)
    machine.write("vol-1", 6)
    machine.end()

    assert await volume_content(store, "vol-1", tmp_path) == b"\x06" * MIB


async def test_another_snapshot_after_a_lost_answer_holds_what_was_written_since(
    store: Qcow2VolumeStore, machine: DiskMachine, tmp_path: Path
) -> None:
    await live_volumes(store, machine, "vol-1")
    await lose_an_answer(store, machine)
    machine.write("vol-1", 6)

    await store.snapshot({"vol-1": "snap-2"}, machine_id="i-1")

    assert await snapshot_content(store, "snap-2", MIB, tmp_path) == b"\x06" * MIB


async def test_a_volume_that_another_process_holds_is_not_sealed(store: Qcow2VolumeStore) -> None:
    path = await filled_volume(store, "vol-1", 7)

    with held_open(path), pytest.raises(VolumeInUse):
        await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert (await store.connect("vol-1")).path == path


async def test_without_room_no_volume_is_made(root: Path, machine: DiskMachine) -> None:
    store = opened(root, machine, reserve_bytes=MORE_THAN_ANY_DISK)

    with pytest.raises(StorageFull):
        await store.create("vol-1", size_bytes=MIB, snapshot_id=None)

    assert not list((root / "layers").iterdir())


async def test_without_room_no_snapshot_is_taken(store: Qcow2VolumeStore, root: Path, machine: DiskMachine) -> None:
    path = await filled_volume(store, "vol-1", 7)
    full = opened(root, machine, reserve_bytes=MORE_THAN_ANY_DISK)

    with pytest.raises(StorageFull):
        await full.snapshot({"vol-1": "snap-1"}, machine_id=None)

    assert (await full.connect("vol-1")).path == path


async def test_a_name_that_leads_out_of_the_directory_is_refused(store: Qcow2VolumeStore) -> None:
    with pytest.raises(ValueError, match="is no id"):
        await store.create("../vol-1", size_bytes=MIB, snapshot_id=None)


async def test_the_depth_of_a_volume_grows_with_each_snapshot(store: Qcow2VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.snapshot({"vol-1": "snap-2"}, machine_id=None)

    assert await store.depth("vol-1") == 3
