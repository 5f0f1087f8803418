"""Servers that are killed while they take blocks lose none that they acknowledged, and keep no half of one."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.contract.disks import qemu_img
from tests.contract.uploading import BLOCKS, SNAPSHOT_ID, block

from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES

PROGRAM = Path(__file__).with_name("uploading.py")
ACKNOWLEDGED = 40
DEADLINE_S = 30


def run_and_kill(root: Path, seed: int, first_version: int) -> list[tuple[str, int, int]]:
    """Let a server write until it has acknowledged some, and kill it a moment later; return what it said."""
    words: list[str | Path] = [sys.executable, PROGRAM, root, str(seed), str(first_version)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        deadline = time.monotonic() + DEADLINE_S
        while sum(line.startswith("done") for line in said) < ACKNOWLEDGED:
            assert time.monotonic() < deadline
            said.append(process.stdout.readline())
        said += [process.stdout.readline() for _ in range(random.Random(seed).randrange(12))]
        process.kill()
        said += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return [(what, int(index), int(version)) for what, index, version in map(str.split, said)]


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path, seed: int) -> None:
    store = Qcow2VolumeStore(tmp_path, live=NoLiveDisks(), owner=None)
    await store.blocks.begin(SNAPSHOT_ID, size_bytes=BLOCKS * BLOCK_BYTES, parent_id=None)
    begun: dict[int, set[int]] = {}
    done: dict[int, int] = {}
    for kill in range(2):
        for what, index, version in run_and_kill(tmp_path, seed * 10 + kill, kill * 1000):
            if what == "begin":
                begun.setdefault(index, set()).add(version)
            else:
                done[index] = version

    again = Qcow2VolumeStore(tmp_path, live=NoLiveDisks(), owner=None)
    await again.blocks.complete(SNAPSHOT_ID)

    (layer,) = (tmp_path / "layers").iterdir()
    qemu_img("check", layer)
    assert done
    for index in range(BLOCKS):
        data, _ = await again.blocks.read(SNAPSHOT_ID, index)
        # What was acknowledged, or a later one that was being written.
        possible = [block(index, version) for version in begun.get(index, ()) if version >= done.get(index, 0)]
        if index not in done:
            possible.append(bytes(BLOCK_BYTES))
        assert data in possible
