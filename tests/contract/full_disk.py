"""A program: fills a small disk of its own and prints, as JSON, what a store on it did. Run in a mount namespace."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore, store
from bakehouse.ports.volumes import StorageFull

MIB = 1 << 20


async def report(disk: Path, image: Path) -> dict[str, Any]:
    # Without its precautions the store runs into the end of the disk itself.
    store.NEW_TOP_BYTES = 0  # type: ignore[misc]
    volumes = Qcow2VolumeStore(disk / "store", live=NoLiveDisks(), owner=None, reserve_bytes=-(1 << 40))
    refused: list[str] = []
    try:
        await volumes.import_file("snap-1", image)
    except StorageFull:
        refused.append("import")
    await volumes.create("vol-a", size_bytes=MIB, snapshot_id=None)
    fill(disk / "filler", leaving=300 << 10)
    try:
        for number in range(10):
            await volumes.create(f"vol-{number}", size_bytes=MIB, snapshot_id=None)
    except StorageFull:
        refused.append("create")
    try:
        await volumes.snapshot({"vol-a": "snap-a"}, machine_id=None)
    except StorageFull:
        refused.append("snapshot")
    inventory = await volumes.inventory()
    left_over = await volumes.sweep(remove=False)
    (disk / "filler").unlink()
    await volumes.snapshot({"vol-a": "snap-a"}, machine_id=None)
    return {
        "refused": refused,
        "snapshots": sorted(inventory.snapshot_ids),
        "left_over": left_over.files,
        "afterwards": sorted((await volumes.inventory()).snapshot_ids),
    }


def fill(path: Path, *, leaving: int) -> None:
    room = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leaving)


if __name__ == "__main__":
    json.dump(asyncio.run(report(Path(sys.argv[1]), Path(sys.argv[2]))), sys.stdout)
