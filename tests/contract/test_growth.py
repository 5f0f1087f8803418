"""Volumes grow, in every store; with real layers also while a machine runs, and after a crash."""

from pathlib import Path

import pytest
from tests.contract.disks import (
    MIB,
    DiskMachine,
    filled_volume,
    held_open,
    live_volumes,
    opened,
    snapshot_content,
    volume_content,
)
from tests.contract.killing import Killed, killed_at
from tests.contract.test_volumes import Driver, fake_driver, qcow2_driver

from bakehouse.ports.volumes import NoSuchVolume, VolumeInUse


@pytest.fixture(params=[fake_driver, qcow2_driver], ids=["fake", "qcow2"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    made: Driver = request.param(tmp_path)
    return made


@pytest.fixture
def machine() -> DiskMachine:
    return DiskMachine()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


async def test_a_volume_has_its_new_size(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)

    await driver.store.grow("vol-1", size_bytes=3 * MIB, machine_id=None)

    assert (await driver.store.connect("vol-1")).size_bytes == 3 * MIB


async def test_the_new_size_outlives_the_server(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await driver.store.grow("vol-1", size_bytes=3 * MIB, machine_id=None)

    assert (await driver.reopened().connect("vol-1")).size_bytes == 3 * MIB


async def test_growing_again_to_the_same_size_does_nothing(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await driver.store.grow("vol-1", size_bytes=3 * MIB, machine_id=None)

    await driver.store.grow("vol-1", size_bytes=3 * MIB, machine_id=None)

    assert (await driver.store.connect("vol-1")).size_bytes == 3 * MIB


@pytest.mark.parametrize("size_bytes", [MIB - 512, MIB + 1])
async def test_a_volume_never_shrinks_and_has_whole_sectors(driver: Driver, size_bytes: int) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)

    with pytest.raises(ValueError, match=str(size_bytes)):
        await driver.store.grow("vol-1", size_bytes=size_bytes, machine_id=None)


async def test_an_unknown_volume_does_not_grow(driver: Driver) -> None:
    with pytest.raises(NoSuchVolume):
        await driver.store.grow("vol-1", size_bytes=MIB, machine_id=None)


async def test_a_volume_that_a_stranger_holds_does_not_grow(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)

    with driver.held("vol-1", (await driver.store.connect("vol-1")).path), pytest.raises(VolumeInUse):
        await driver.store.grow("vol-1", size_bytes=2 * MIB, machine_id=None)

    assert (await driver.store.connect("vol-1")).size_bytes == MIB


async def test_a_snapshot_keeps_the_size_it_was_taken_with(driver: Driver) -> None:
    await driver.store.create("vol-1", size_bytes=MIB, snapshot_id=None)
    await driver.store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await driver.store.grow("vol-1", size_bytes=2 * MIB, machine_id=None)
    await driver.store.create("vol-2", size_bytes=MIB, snapshot_id="snap-1")

    assert (await driver.store.connect("vol-2")).size_bytes == MIB


async def test_the_new_part_reads_as_zeroes(root: Path, machine: DiskMachine, tmp_path: Path) -> None:
    store = opened(root, machine)
    await filled_volume(store, "vol-1", 1)
    await store.snapshot({"vol-1": "snap-1"}, machine_id=None)

    await store.grow("vol-1", size_bytes=2 * MIB, machine_id=None)

    assert await volume_content(store, "vol-1", tmp_path) == bytes([1]) * MIB + bytes(MIB)
    assert await snapshot_content(store, "snap-1", MIB, tmp_path) == bytes([1]) * MIB


async def test_a_volume_of_a_live_machine_grows_below_it(root: Path, machine: DiskMachine, tmp_path: Path) -> None:
    store = opened(root, machine)
    await live_volumes(store, machine, "vol-1")

    await store.grow("vol-1", size_bytes=2 * MIB, machine_id="i-1")
    machine.write("vol-1", 9, at=MIB, length=MIB)

    assert await volume_content(store, "vol-1", tmp_path) == bytes([1]) * MIB + bytes([9]) * MIB


async def test_a_device_of_fixed_size_is_in_use(root: Path, machine: DiskMachine) -> None:
    store = opened(root, machine)
    await live_volumes(store, machine, "vol-1")
    machine.sizes_are_fixed = True

    with pytest.raises(VolumeInUse):
        await store.grow("vol-1", size_bytes=2 * MIB, machine_id="i-1")

    assert (await store.connect("vol-1")).size_bytes == MIB


async def test_a_volume_with_a_process_on_it_does_not_grow_beside_its_machine(root: Path, machine: DiskMachine) -> None:
    store = opened(root, machine)
    path = await filled_volume(store, "vol-1", 1)

    with held_open(path), pytest.raises(VolumeInUse):
        await store.grow("vol-1", size_bytes=2 * MIB, machine_id="i-1")


@pytest.mark.parametrize("step", range(6))
async def test_growing_that_was_killed_is_finished_by_the_same_call(
    root: Path, machine: DiskMachine, tmp_path: Path, step: int
) -> None:
    store = opened(root, machine)
    await filled_volume(store, "vol-1", 1)
    try:
        with killed_at(step):
            await store.grow("vol-1", size_bytes=2 * MIB, machine_id=None)
    except Killed:
        store = opened(root, machine)

    await store.grow("vol-1", size_bytes=2 * MIB, machine_id=None)

    assert await volume_content(store, "vol-1", tmp_path) == bytes([1]) * MIB + bytes(MIB)


async def test_a_grown_chain_is_merged(root: Path, machine: DiskMachine, tmp_path: Path) -> None:
    store = opened(root, machine)
    await filled_volume(store, "vol-1", 1)
    for number in range(14):
        await store.snapshot({"vol-1": f"snap-{number}"}, machine_id=None)
        await store.grow("vol-1", size_bytes=(number + 2) * MIB, machine_id=None)

    while await store.upkeep.tend() is not None:
        pass

    assert await volume_content(store, "vol-1", tmp_path) == bytes([1]) * MIB + bytes(14 * MIB)
    assert await snapshot_content(store, "snap-3", 4 * MIB, tmp_path) == bytes([1]) * MIB + bytes(3 * MIB)
