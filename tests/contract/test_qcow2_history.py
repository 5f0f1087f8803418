"""Random histories of volumes, snapshots, a live machine and crashes, held against a model of the bytes.

Quick by default; for a night's run: `pytest --hypothesis-profile=...` with a profile of more examples, of
which this takes a fifth, since each is some hundred programs.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, precondition, rule
from tests.contract import disks
from tests.contract.disks import DiskMachine, snapshot_content, volume_content
from tests.contract.killing import Killed, killed_at

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore

T = TypeVar("T")

BLOCK = 64 << 10
BLOCKS = 4
SIZE = BLOCKS * BLOCK


class VolumeHistory(RuleBasedStateMachine):
    """The model: for each volume and snapshot, the value that fills each of its blocks."""

    volumes = Bundle("volumes")
    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.scratch = Path(self.directory.name)
        self.machine = DiskMachine()
        self.store = self.opened()
        self.volume_bytes: dict[str, list[int]] = {}
        self.snapshot_bytes: dict[str, list[int]] = {}
        self.ids = 0

    def opened(self) -> Qcow2VolumeStore:
        return Qcow2VolumeStore(self.scratch / "store", live=self.machine, owner=None, reserve_bytes=0)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def new_id(self, kind: str) -> str:
        self.ids += 1
        return f"{kind}-{self.ids}"

    @initialize(target=volumes)
    def begin_with_two_volumes(self) -> Any:
        return multiple(self.make_empty_volume(), self.make_empty_volume())

    @rule(target=volumes)
    def make_empty_volume(self) -> str:
        volume_id = self.new_id("vol")
        self.run(self.store.create(volume_id, size_bytes=SIZE, snapshot_id=None))
        self.volume_bytes[volume_id] = [0] * BLOCKS
        return volume_id

    @rule(target=volumes, snapshot_id=snapshots)
    def make_volume_from_snapshot(self, snapshot_id: str) -> str:
        volume_id = self.new_id("vol")
        self.run(self.store.create(volume_id, size_bytes=SIZE, snapshot_id=snapshot_id))
        self.volume_bytes[volume_id] = list(self.snapshot_bytes[snapshot_id])
        return volume_id

    @rule(volume_id=volumes, block=st.integers(0, BLOCKS - 1), value=st.integers(1, 255))
    def write_a_block(self, volume_id: str, block: int, value: int) -> None:
        path = self.machine.tops.get(volume_id) or self.run(self.store.connect(volume_id)).path
        disks.write(path, value, at=block * BLOCK, length=BLOCK)
        self.volume_bytes[volume_id][block] = value

    @rule(volume_ids=st.sets(volumes, min_size=1, max_size=2))
    def start_machine(self, volume_ids: set[str]) -> None:
        self.machine.start({v: self.run(self.store.connect(v)) for v in volume_ids})

    @rule()
    def end_machine(self) -> None:
        self.machine.end()

    @rule(target=snapshots, volume_id=volumes)
    def take_snapshot(self, volume_id: str) -> Any:
        wanted = self.of_one_machine(volume_id)
        self.run(self.store.snapshot(wanted, machine_id=self.machine.machine_id))
        return self.remember(wanted)

    @rule(target=snapshots, volume_id=volumes, step=st.integers(0, 20))
    def take_snapshot_and_die(self, volume_id: str, step: int) -> Any:
        """The point in time of those that are there afterwards is now: nothing is written meanwhile."""
        wanted = self.of_one_machine(volume_id)
        self.die_at(step, self.store.snapshot(wanted, machine_id=self.machine.machine_id))
        there = self.run(self.store.inventory()).snapshot_ids
        return self.remember({v: s for v, s in wanted.items() if s in there})

    @rule(target=snapshots, volume_id=volumes, step=st.integers(0, 20), value=st.integers(1, 255))
    def take_snapshot_die_and_repeat(self, volume_id: str, step: int, value: int) -> Any:
        wanted = self.of_one_machine(volume_id)
        self.die_at(step, self.store.snapshot(wanted, machine_id=self.machine.machine_id))
        self.run(self.store.sweep(remove=True))
        self.run(self.store.snapshot(wanted, machine_id=self.machine.machine_id))
        taken = self.remember(wanted)
        self.write_a_block(volume_id, 0, value)
        return taken

    @rule(volume_id=consumes(volumes))
    def delete_volume(self, volume_id: str) -> None:
        self.machine.tops.pop(volume_id, None)
        self.run(self.store.delete(volume_id))
        del self.volume_bytes[volume_id]

    @rule(snapshot_id=consumes(snapshots))
    def delete_snapshot(self, snapshot_id: str) -> None:
        self.run(self.store.delete_snapshot(snapshot_id))
        del self.snapshot_bytes[snapshot_id]

    @rule()
    def sweep(self) -> None:
        self.run(self.store.sweep(remove=True))

    @rule()
    def restart(self) -> None:
        self.store = self.opened()

    @rule(volume_id=volumes)
    def read_volume(self, volume_id: str) -> None:
        if volume_id in self.machine.tops:
            return  # Its reader is the machine; what it would read at its next start is checked at the end.
        read = self.run(volume_content(self.store, volume_id, self.scratch))
        assert read == filled(self.volume_bytes[volume_id])

    @rule(snapshot_id=snapshots)
    def read_snapshot(self, snapshot_id: str) -> None:
        read = self.run(snapshot_content(self.store, snapshot_id, SIZE, self.scratch))
        assert read == filled(self.snapshot_bytes[snapshot_id])

    @precondition(lambda self: self.volume_bytes)
    @rule()
    def nothing_else_is_left_over(self) -> None:
        self.run(self.store.sweep(remove=True))
        assert self.run(self.store.sweep(remove=False)).files == ()

    def teardown(self) -> None:
        try:
            self.machine.end()
            self.run(self.store.sweep(remove=True))
            for volume_id in self.volume_bytes:
                self.read_volume(volume_id)
            for snapshot_id in self.snapshot_bytes:
                self.read_snapshot(snapshot_id)
        finally:
            self.runner.close()
            self.directory.cleanup()

    def of_one_machine(self, volume_id: str) -> dict[str, str]:
        """A snapshot of a machine's volume is one of all its volumes."""
        together = self.machine.tops if volume_id in self.machine.tops else [volume_id]
        return {v: self.new_id("snap") for v in together}

    def die_at(self, step: int, call: Coroutine[Any, Any, None]) -> None:
        with killed_at(step), suppress(Killed):
            self.run(call)
        self.store = self.opened()

    def remember(self, taken: dict[str, str]) -> Any:
        for volume_id, snapshot_id in taken.items():
            self.snapshot_bytes[snapshot_id] = list(self.volume_bytes[volume_id])
        return multiple(*taken.values())


def filled(blocks: list[int]) -> bytes:
    return b"".join(bytes([value]) * BLOCK for value in blocks)


VolumeHistory.TestCase.settings = settings(
    max_examples=max(8, settings().max_examples // 5),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestVolumeHistory = pytest.mark.slow(VolumeHistory.TestCase)
