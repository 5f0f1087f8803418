"""Random histories of volumes, snapshots, a live machine and crashes, held against a model of the bytes.

Quick by default. `BAKEHOUSE_HISTORY_STEPS=2000 pytest tests/contract/test_qcow2_history.py` takes that many steps in
histories of 50, which is some three minutes; each step is a few programs.
"""

import asyncio
import os
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, precondition, rule
from tests.contract.disks import DiskMachine
from tests.contract.encrypted_disks import io_on, run_on, snapshot_content, volume_content
from tests.contract.killing import Killed, killed_at
from tests.memory_keys import MemoryKeys

from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore, run_choice
from bakehouse.drivers.volumes.qcow2.opening import part
from bakehouse.ports.storage_upkeep import Tended
from bakehouse.ports.volumes import FileBelow

T = TypeVar("T")

#: A part of a cluster, so that layers have some parts of one.
BLOCK = 16 << 10
BLOCKS_A_CLUSTER = 4
BLOCKS = 2 * BLOCKS_A_CLUSTER
SIZE = BLOCKS * BLOCK
#: A volume grows by a block at a time.
MOST_BLOCKS = 4 * BLOCKS_A_CLUSTER

KEYS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")
SOME_KEY = st.none() | st.sampled_from(KEYS)

STEPS = int(os.environ.get("BAKEHOUSE_HISTORY_STEPS", "160"))
STEPS_A_HISTORY = 20 if STEPS < 1000 else 50


class EncryptedDiskMachine(DiskMachine):
    """One that has the keys of its disks."""

    store: Qcow2VolumeStore

    async def files(self, path: Path) -> tuple[FileBelow, ...]:
        return await self.store._opening.chain(path.name)

    async def resize_disk(self, machine_id: str, volume_id: str, size_bytes: int) -> bool:
        assert machine_id == self.machine_id
        files = (await self.files(self.tops[volume_id]))[:1]
        run_on(files, ["qemu-img", "resize", "-q"], part(files), str(size_bytes))
        return True


class VolumeHistory(RuleBasedStateMachine):
    """The model: for each volume and snapshot, the value that fills each of its blocks; a volume grows by blocks."""

    volumes = Bundle("volumes")
    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.scratch = Path(self.directory.name)
        self.keys = MemoryKeys()
        for key_id in KEYS:
            self.run(self.keys.create(key_id))
        self.machine = EncryptedDiskMachine()
        self.store = self.opened()
        self.volume_bytes: dict[str, list[int]] = {}
        self.snapshot_bytes: dict[str, list[int]] = {}
        self.ids = 0

    def opened(self) -> Qcow2VolumeStore:
        root = self.scratch / "store"
        store = Qcow2VolumeStore(root, live=self.machine, owner=None, keys=self.keys, reserve_bytes=0)
        self.machine.store = store
        return store

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def new_id(self, kind: str) -> str:
        self.ids += 1
        return f"{kind}-{self.ids}"

    @initialize(target=volumes)
    def begin_with_two_volumes(self) -> Any:
        return multiple(self.make_empty_volume(None), self.make_empty_volume(KEYS[0]))

    @rule(target=volumes, key_id=SOME_KEY)
    def make_empty_volume(self, key_id: str | None) -> str:
        volume_id = self.new_id("vol")
        self.run(self.store.create(volume_id, size_bytes=SIZE, snapshot_id=None, key_id=key_id))
        self.volume_bytes[volume_id] = [0] * BLOCKS
        return volume_id

    @rule(target=volumes, snapshot_id=snapshots, key_id=SOME_KEY)
    def make_volume_from_snapshot(self, snapshot_id: str, key_id: str | None) -> str:
        volume_id = self.new_id("vol")
        size = len(self.snapshot_bytes[snapshot_id]) * BLOCK
        self.run(self.store.create(volume_id, size_bytes=size, snapshot_id=snapshot_id, key_id=key_id))
        self.volume_bytes[volume_id] = list(self.snapshot_bytes[snapshot_id])
        return volume_id

    @rule(volume_id=volumes, block=st.integers(0, BLOCKS - 1), value=st.integers(1, 255))
    def write_a_block(self, volume_id: str, block: int, value: int) -> None:
        self.qemu_io(volume_id, f"write -P {value} {block * BLOCK} {BLOCK}")
        self.volume_bytes[volume_id][block] = value

    @rule(volume_id=volumes, cluster=st.integers(0, BLOCKS // BLOCKS_A_CLUSTER - 1))
    def discard_a_cluster(self, volume_id: str, cluster: int) -> None:
        """What is less is not discarded, and may be read as before."""
        first = cluster * BLOCKS_A_CLUSTER
        self.qemu_io(volume_id, f"discard {first * BLOCK} {BLOCKS_A_CLUSTER * BLOCK}")
        self.volume_bytes[volume_id][first : first + BLOCKS_A_CLUSTER] = [0] * BLOCKS_A_CLUSTER

    @rule(volume_id=volumes, step=st.none() | st.integers(0, 8))
    def grow(self, volume_id: str, step: int | None) -> None:
        blocks = len(self.volume_bytes[volume_id]) + 1
        if blocks > MOST_BLOCKS:
            return

        def call() -> Coroutine[Any, Any, None]:
            return self.store.grow(volume_id, size_bytes=blocks * BLOCK, machine_id=self.machine.machine_id)

        if step is not None:
            self.die_at(step, call())
        self.run(call())
        self.volume_bytes[volume_id].append(0)

    @rule(steps=st.integers(1, 4))
    def tend(self, steps: int) -> None:
        for _ in range(steps):
            done = self.run(self.store.upkeep.tend())
            assert done is None or done.did is not Tended.FAILED, done

    @rule(step=st.integers(0, 20))
    def tend_and_die(self, step: int) -> None:
        self.die_at(step, self.store.upkeep.tend())

    @rule(volume_id=volumes, step=st.none() | st.integers(0, 20))
    def flatten(self, volume_id: str, step: int | None) -> None:
        if step is not None:
            self.die_at(step, self.store.upkeep.flatten(volume_id))
        self.run(self.store.upkeep.flatten(volume_id))

    @rule(volume_id=volumes, count=st.integers(4, 9))
    def make_a_long_chain(self, volume_id: str, count: int) -> None:
        """Snapshots that are deleted at once, as an image that is baked anew every hour leaves them."""
        for _ in range(count):
            wanted = self.of_one_machine(volume_id)
            self.run(self.store.snapshot(wanted, machine_id=self.machine.machine_id))
            for snapshot_id in wanted.values():
                self.run(self.store.delete_snapshot(snapshot_id))

    @rule()
    def nothing_is_found_by_a_check(self) -> None:
        report = self.run(self.store.upkeep.check(repair=True))
        assert all(finding.repaired for finding in report.findings), report.findings

    @rule(volume_ids=st.sets(volumes, min_size=1, max_size=2))
    def start_machine(self, volume_ids: set[str]) -> None:
        self.machine.start({v: self.run(self.store.connect(v)) for v in volume_ids})

    @rule(volume_id=volumes)
    def attach(self, volume_id: str) -> None:
        if volume_id not in self.machine.tops:
            self.machine.take(volume_id, self.run(self.store.connect(volume_id)))

    @rule(volume_id=volumes)
    def detach(self, volume_id: str) -> None:
        self.machine.let_go(volume_id)

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

    @rule(target=snapshots, snapshot_id=snapshots, key_id=SOME_KEY)
    def copy_snapshot(self, snapshot_id: str, key_id: str | None) -> str:
        copy_id = self.new_id("snap")
        self.run(self.store.copy_snapshot(snapshot_id, copy_id, key_id=key_id))
        self.snapshot_bytes[copy_id] = list(self.snapshot_bytes[snapshot_id])
        return copy_id

    @rule(volume_id=consumes(volumes))
    def delete_volume(self, volume_id: str) -> None:
        self.machine.let_go(volume_id)
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
        wanted = filled(self.snapshot_bytes[snapshot_id])
        assert self.run(snapshot_content(self.store, snapshot_id, len(wanted), self.scratch)) == wanted

    @precondition(lambda self: self.volume_bytes)
    @rule()
    def nothing_else_is_left_over(self) -> None:
        self.run(self.store.sweep(remove=True))
        assert self.run(self.store.sweep(remove=False)).files == ()

    def teardown(self) -> None:
        try:
            self.machine.end()
            self.run(self.store.sweep(remove=True))
            while self.run(self.store.upkeep.tend()) is not None:
                pass
            self.run(self.store.sweep(remove=True))
            layout = self.run(self.store.upkeep.layout())
            longest = max(map(len, [*layout.volumes.values(), *layout.snapshots.values()]), default=0)
            assert longest <= run_choice.MAX_DEPTH
            for volume_id in self.volume_bytes:
                self.read_volume(volume_id)
            for snapshot_id in self.snapshot_bytes:
                self.read_snapshot(snapshot_id)
        finally:
            self.runner.close()
            self.directory.cleanup()

    def qemu_io(self, volume_id: str, command: str) -> None:
        """Let a volume's machine, or nobody's, do something."""
        path = self.machine.tops.get(volume_id) or Path(self.run(self.store.connect(volume_id)).path)
        io_on(self.run(self.machine.files(path)), command)

    def of_one_machine(self, volume_id: str) -> dict[str, str]:
        """A snapshot of a machine's volume is one of all its volumes."""
        together = self.machine.tops if volume_id in self.machine.tops else [volume_id]
        return {v: self.new_id("snap") for v in together}

    def die_at(self, step: int, call: Coroutine[Any, Any, Any]) -> None:
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
    max_examples=STEPS // STEPS_A_HISTORY,
    stateful_step_count=STEPS_A_HISTORY,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestVolumeHistory = pytest.mark.timeout(120 + STEPS)(pytest.mark.slow(VolumeHistory.TestCase))
