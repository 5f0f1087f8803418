"""Chains are kept short in the background, and nobody who reads through them sees a difference."""

import asyncio
from pathlib import Path

import pytest
from tests.contract import disks
from tests.contract.disks import MIB, DiskMachine, chain, filled_volume, opened, snapshot_content
from tests.contract.killing import Killed, killed_at

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore, run_choice
from bakehouse.ports.storage_upkeep import Tended, UpkeepStep
from bakehouse.ports.volumes import NoSuchVolume

BLOCK = 64 << 10


@pytest.fixture
def machine() -> DiskMachine:
    return DiskMachine()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def store(root: Path, machine: DiskMachine) -> Qcow2VolumeStore:
    return opened(root, machine)


async def snapshots(store: Qcow2VolumeStore, count: int, *, first: int = 1) -> dict[str, bytes]:
    """Take snapshots of vol-1, each with a block of its own number; return what each shows."""
    shown = {}
    now = bytearray(MIB)
    for number in range(first, first + count):
        at = number % (MIB // BLOCK) * BLOCK
        path = (await store.connect("vol-1")).path
        disks.write(path, number, at=at, length=BLOCK)
        now[at : at + BLOCK] = bytes([number]) * BLOCK
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id="i-1")
        shown[f"snap-{number}"] = bytes(now)
    return shown


async def tended(store: Qcow2VolumeStore, did: Tended) -> list[UpkeepStep]:
    """Let upkeep do all that there is to do; return what of it was of one kind."""
    steps = []
    while (step := await store.upkeep.tend()) is not None:
        steps.append(step)
    return [step for step in steps if step.did is did]


async def test_no_chain_stays_longer_than_the_limit(store: Qcow2VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await snapshots(store, 40)

    await tended(store, Tended.MERGED)

    layout = await store.upkeep.layout()
    assert max(map(len, [*layout.volumes.values(), *layout.snapshots.values()])) <= run_choice.LONG


async def test_every_snapshot_reads_the_same_after_merging(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    shown = await snapshots(store, 20)

    await tended(store, Tended.MERGED)

    read = {s: await snapshot_content(store, s, MIB, tmp_path) for s in shown}
    assert read == shown


async def test_a_volume_is_flattened_and_everything_reads_the_same(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    shown = await snapshots(store, 5)

    layers = await store.upkeep.flatten("vol-1")

    read = {s: await snapshot_content(store, s, MIB, tmp_path) for s in shown}
    layout = await store.upkeep.layout()
    assert (layers, len(layout.volumes["vol-1"]), len(layout.snapshots["snap-5"])) == (2, 2, 1)
    assert read == shown


async def test_a_machine_reads_a_flattened_volume_through_few_files(
    store: Qcow2VolumeStore, machine: DiskMachine
) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await snapshots(store, 3)
    machine.take("vol-1", await store.connect("vol-1"))

    await store.upkeep.flatten("vol-1")

    assert machine.opened["vol-1"] == chain(machine.tops["vol-1"])
    assert len(machine.opened["vol-1"]) == 2


async def test_a_volume_of_an_image_is_flattened_down_to_the_images_disk(
    store: Qcow2VolumeStore, tmp_path: Path
) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(bytes([7]) * MIB)
    await store.import_file("snap-0", image)
    await store.create("vol-1", size_bytes=MIB, snapshot_id="snap-0")
    await snapshots(store, 3)

    assert (await store.upkeep.flatten("vol-1"), await store.upkeep.flatten("vol-1")) == (3, 3)


async def test_a_volume_that_is_not_there_is_not_flattened(store: Qcow2VolumeStore) -> None:
    with pytest.raises(NoSuchVolume):
        await store.upkeep.flatten("vol-1")


async def test_layers_of_deleted_snapshots_become_one(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    shown = await snapshots(store, 6)
    for number in range(1, 6):
        await store.delete_snapshot(f"snap-{number}")

    await tended(store, Tended.MERGED)

    layout = await store.upkeep.layout()
    assert (len(layout.snapshots["snap-6"]), await snapshot_content(store, "snap-6", MIB, tmp_path)) == (
        1,
        shown["snap-6"],
    )


async def test_what_was_merged_is_swept_when_nobody_can_be_opening_it(store: Qcow2VolumeStore, root: Path) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await snapshots(store, 4)
    for number in range(1, 4):
        await store.delete_snapshot(f"snap-{number}")
    await tended(store, Tended.MERGED)
    kept_for_now = (await store.sweep(remove=True)).files

    restarted = opened(root, DiskMachine())
    removed = (await restarted.sweep(remove=True)).files

    assert (kept_for_now, len(removed)) == ((), 3)


async def test_a_large_layer_is_not_copied_to_save_a_small_one(store: Qcow2VolumeStore) -> None:
    await filled_volume(store, "vol-1", 9)
    await store.snapshot({"vol-1": "snap-0"}, machine_id=None)
    disks.write((await store.connect("vol-1")).path, 1, at=0, length=512)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete_snapshot("snap-0")

    assert await tended(store, Tended.MERGED) == []


async def test_the_disk_of_an_image_stays_shared(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(bytes([7]) * MIB)
    await store.import_file("snap-0", image)
    await store.create("vol-1", size_bytes=MIB, snapshot_id="snap-0")
    await snapshots(store, 30)

    await tended(store, Tended.MERGED)

    layout = await store.upkeep.layout()
    assert {layers[-1] for layers in layout.snapshots.values()} == {"snap-0.0.raw"}


async def test_what_a_guest_discarded_takes_no_room_in_a_merged_layer(store: Qcow2VolumeStore, tmp_path: Path) -> None:
    await filled_volume(store, "vol-1", 5)
    await store.snapshot({"vol-1": "snap-0"}, machine_id=None)
    path = (await store.connect("vol-1")).path
    disks.write(path, 6, at=0, length=9 * BLOCK)
    disks.qemu_io(path, f"discard {9 * BLOCK} {7 * BLOCK}")
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
    await store.delete_snapshot("snap-0")

    await tended(store, Tended.MERGED)

    layout = await store.upkeep.layout()
    (layer,) = layout.snapshots["snap-1"]
    shown = bytes([6]) * 9 * BLOCK + bytes(7 * BLOCK)
    assert (layout.layers[layer] < MIB, await snapshot_content(store, "snap-1", MIB, tmp_path)) == (True, shown)


async def test_a_live_machine_lets_go_of_layers_that_were_merged(store: Qcow2VolumeStore, machine: DiskMachine) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    machine.start({"vol-1": await store.connect("vol-1")})
    await snapshots(store, 20)

    await tended(store, Tended.REOPENED)

    assert machine.opened["vol-1"] == chain(machine.tops["vol-1"])


async def test_a_top_is_never_merged(store: Qcow2VolumeStore, machine: DiskMachine) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    machine.start({"vol-1": await store.connect("vol-1")})
    await snapshots(store, 20)
    inode = machine.tops["vol-1"].stat().st_ino

    await tended(store, Tended.MERGED)

    assert machine.tops["vol-1"].stat().st_ino == inode


@pytest.mark.parametrize("step", range(0, 24, 3))
async def test_a_merge_that_was_killed_is_as_if_it_had_never_begun_or_was_finished(
    root: Path, machine: DiskMachine, tmp_path: Path, step: int
) -> None:
    store = opened(root, machine)
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    shown = await snapshots(store, 14)
    try:
        with killed_at(step):
            while await store.upkeep.tend() is not None:
                pass
    except Killed:
        store = opened(root, machine)

    await store.sweep(remove=True)

    assert {s: await snapshot_content(store, s, MIB, tmp_path) for s in shown} == shown


async def test_a_killed_merge_leaves_nothing_after_the_next_sweep(root: Path, machine: DiskMachine) -> None:
    store = opened(root, machine)
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await snapshots(store, 14)
    with pytest.raises(Killed), killed_at(2):
        await store.upkeep.tend()

    restarted = opened(root, machine)
    await restarted.sweep(remove=True)

    assert list((root / "layers").glob("merge.*")) == []


async def test_a_merge_that_is_cancelled_leaves_nothing(store: Qcow2VolumeStore, root: Path) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await snapshots(store, 14)
    merging = asyncio.create_task(store.upkeep.tend())
    async with asyncio.timeout(30):
        while not list((root / "layers").glob("merge.*")):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.001)

    merging.cancel()
    await asyncio.wait([merging])

    assert list((root / "layers").glob("merge.*")) == []


async def test_every_frozen_layer_gets_a_checksum(store: Qcow2VolumeStore) -> None:
    await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await snapshots(store, 3)

    summed = await tended(store, Tended.SUMMED)

    assert {step.subject for step in summed} == {"vol-1.0.qcow2", "vol-1.1.qcow2", "vol-1.2.qcow2"}
