"""The qcow2 store killed before any step that reaches the disk, and opened again."""

from itertools import count
from pathlib import Path

import pytest
from tests.contract.disks import MIB, DiskMachine, filled_volume, live_volumes, opened, snapshot_content, volume_content
from tests.contract.killing import Killed, killed_at


@pytest.mark.slow
async def test_a_live_snapshot_killed_at_any_step_is_completed_by_the_same_call(tmp_path: Path) -> None:
    wanted = {"vol-1": "snap-1", "vol-2": "snap-2"}
    for step in count():
        root, machine = tmp_path / f"store{step}", DiskMachine()
        store = opened(root, machine)
        await live_volumes(store, machine, *wanted)

        with killed_at(step) as begun:
            try:
                await store.snapshot(wanted, machine_id="i-1")
            except Killed:
                pass
            else:
                break
        restarted = opened(root, machine)
        await restarted.snapshot(wanted, machine_id="i-1")
        await restarted.sweep(remove=True)

        read = [await snapshot_content(restarted, snapshot_id, MIB, tmp_path) for snapshot_id in wanted.values()]
        assert read == [b"\x01" * MIB, b"\x02" * MIB], begun


@pytest.mark.slow
async def test_an_offline_snapshot_killed_at_any_step_is_completed_by_the_same_call(tmp_path: Path) -> None:
    for step in count():
        root, machine = tmp_path / f"store{step}", DiskMachine()
        store = opened(root, machine)
        await filled_volume(store, "vol-1", 7)

        with killed_at(step) as begun:
            try:
                await store.snapshot({"vol-1": "snap-1"}, machine_id=None)
            except Killed:
                pass
            else:
                break
        restarted = opened(root, machine)
        await restarted.snapshot({"vol-1": "snap-1"}, machine_id=None)
        await restarted.sweep(remove=True)

        assert await snapshot_content(restarted, "snap-1", MIB, tmp_path) == b"\x07" * MIB, begun


@pytest.mark.slow
async def test_a_snapshot_killed_at_any_step_and_given_up_loses_no_write(tmp_path: Path) -> None:
    for step in count():
        root, machine = tmp_path / f"store{step}", DiskMachine()
        store = opened(root, machine)
        await live_volumes(store, machine, "vol-1")

        with killed_at(step) as begun:
            try:
                await store.snapshot({"vol-1": "snap-1"}, machine_id="i-1")
            except Killed:
                pass
            else:
                break
        machine.write("vol-1", 9)
        restarted = opened(root, machine)
        await restarted.sweep(remove=True)
        machine.end()

        assert await volume_content(restarted, "vol-1", tmp_path) == b"\x09" * MIB, begun


async def test_a_volume_killed_at_any_step_of_its_making_is_whole_or_not_there(tmp_path: Path) -> None:
    for step in count():
        root, machine = tmp_path / f"store{step}", DiskMachine()
        store = opened(root, machine)

        with killed_at(step) as begun:
            try:
                await store.create("vol-1", size_bytes=MIB, snapshot_id=None)
            except Killed:
                pass
            else:
                break
        restarted = opened(root, machine)
        if "vol-1" in (await restarted.inventory()).volume_ids:
            assert await volume_content(restarted, "vol-1", tmp_path) == bytes(MIB), begun
        await restarted.create("vol-1", size_bytes=MIB, snapshot_id=None)
        await restarted.sweep(remove=True)
        assert len(list((root / "layers").iterdir())) == 1, begun
