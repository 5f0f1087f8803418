"""A program: writes blocks into an upload, several at once, and prints the number of each that was acknowledged."""

import asyncio
import random
import sys
from hashlib import sha256
from pathlib import Path

from bakehouse.drivers.volumes.qcow2 import NoLiveDisks, Qcow2VolumeStore
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES

SNAPSHOT_ID = "snap-1"
BLOCKS = 2048


def block(index: int, version: int) -> bytes:
    """Return the data of a block: each version of it is another."""
    return random.Random(index * 10_000 + version).randbytes(1024) * (BLOCK_BYTES // 1024)


def say(what: str, index: int, version: int) -> None:
    sys.stdout.write(f"{what} {index} {version}\n")
    sys.stdout.flush()


async def write_forever(root: Path, seed: int, first_version: int) -> None:
    """Write random blocks again and again, the next version of each."""
    store = Qcow2VolumeStore(root, live=NoLiveDisks(), owner=None)
    choice = random.Random(seed)
    versions: dict[int, int] = {}

    async def worker(mine: int) -> None:
        while True:
            index = choice.randrange(BLOCKS // 8) * 8 + mine
            versions[index] = versions.get(index, first_version) + 1
            data = block(index, versions[index])
            say("begin", index, versions[index])
            await store.blocks.write(SNAPSHOT_ID, index, data, digest=sha256(data).digest())
            say("done", index, versions[index])

    await asyncio.gather(*(worker(mine) for mine in range(8)))


if __name__ == "__main__":
    asyncio.run(write_forever(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
