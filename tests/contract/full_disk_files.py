"""A program: makes disk files and objects on a small disk of its own until it is full, and prints as JSON what it left.

Run in a mount namespace.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from bakehouse.drivers.objects import BucketStore
from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.disk_files import ExportFormat
from bakehouse.ports.objects import ObjectAt
from bakehouse.ports.volumes import StorageFull

MIB = 1 << 20
PLACE = ObjectAt(bucket="images", key="a/disk")


async def report(disk: Path, roomy: Path) -> dict[str, Any]:
    # Without its precautions the store runs into the end of the disk itself.
    store = Qcow2VolumeStore(disk / "store", live=NoLiveDisks(), owner=None, reserve_bytes=-(1 << 40))
    noise = roomy / "noise"
    noise.write_bytes(os.urandom(2 * MIB))
    await store.import_file("snap-1", noise)
    with_room = Qcow2VolumeStore(roomy / "store", live=NoLiveDisks(), owner=None)
    await with_room.import_file("snap-1", noise)
    await with_room.files.pack(roomy / "pack", {}, ["snap-1"])
    await with_room.files.export("snap-1", roomy / "vmdk", file_format=ExportFormat.VMDK)
    (disk / "buckets" / "images").mkdir(parents=True)
    objects = BucketStore(buckets=disk / "buckets", work=disk / "work")
    elsewhere = BucketStore(buckets=roomy / "buckets", work=roomy / "work")
    (roomy / "buckets" / "images").mkdir()
    await elsewhere.put(noise, PLACE)
    (disk / "out").mkdir()

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        **{
            f"export {kind}": partial(store.files.export, "snap-1", disk / "out" / "x", file_format=kind)
            for kind in ExportFormat
        },
        "pack": lambda: store.files.pack(disk / "out" / "x", {}, ["snap-1"]),
        "unpack": lambda: store.files.unpack(roomy / "pack", ["snap-2"]),
        "import": lambda: store.import_file("snap-2", roomy / "vmdk"),
        "put": lambda: objects.put(noise, PLACE),
        "fetch": lambda: elsewhere.fetch(PLACE, disk / "out" / "x", limit_bytes=1 << 40),
    }
    refused = [name for name, call in calls.items() if await is_refused(call)]
    return {"refused": refused, "asked": list(calls), "left": files_in(disk)}


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def is_refused(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except StorageFull:
        return True
    return False


if __name__ == "__main__":
    json.dump(asyncio.run(report(Path(sys.argv[1]), Path(sys.argv[2]))), sys.stdout)
