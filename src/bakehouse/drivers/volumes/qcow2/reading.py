"""Reading whole layers in the background, with pauses: guests come first."""

import asyncio
import time
from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes.durable import DiskThreads
from bakehouse.drivers.volumes.qcow2.checksums import Reading

#: Of the time that reading takes, as much again is left to others.
_PAUSE: Final = 1.0


async def sum_up(path: Path, threads: DiskThreads) -> str:
    """Return the checksum of a file.

    Raises:
        OSError: It cannot be read.
    """
    reading = Reading(path)
    pieces = reading.pieces()
    while True:
        started = time.monotonic()
        if await threads.run(next, pieces, None) is None:
            return reading.digest()
        await asyncio.sleep((time.monotonic() - started) * _PAUSE)
