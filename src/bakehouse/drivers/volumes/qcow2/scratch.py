"""Files that are not finished, in a folder of their own: what is left there after a crash, a sweep removes."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes import durable
from bakehouse.drivers.volumes.qcow2 import tools
from bakehouse.drivers.volumes.qcow2.layers import is_too_large_for_filesystem
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.drivers.volumes.sizes import whole_sectors
from bakehouse.ports.volumes import UnsafeImage

#: The largest piece that a format written here makes room for at once, a VHD's block.
_CLUSTER_BYTES: Final = 2 << 20


class Scratch:
    """Makes files that qemu-img, as the unprivileged user when there is one, may write to."""

    def __init__(self, stock: Stock) -> None:
        self.directory = stock.incoming
        self._threads = stock.threads
        self._pins = stock.pins
        self._owner = stock.owner
        self._reserve_bytes = stock.reserve_bytes

    @asynccontextmanager
    async def file(self) -> AsyncIterator[Path]:
        """Give an empty file under a name that no sweep has seen. What the block leaves of it is removed afterwards."""
        path = self.directory / secrets.token_hex(8)

        def make() -> None:
            path.touch(mode=0o600, exist_ok=False)
            if self._owner is not None:
                os.chown(path, *self._owner)

        with self._pins.hold(path.name):
            try:
                await self._threads.run(make)
                yield path
            finally:
                await self._threads.run(path.unlink, missing_ok=True)

    async def make_room(self, path: Path, *, length: int, needed_bytes: int) -> None:
        """Make a file that long, of zeros, if what it will take is free.

        Raises:
            StorageFull: It is not; the file is as it was.
            UnsafeImage: No file can be that long here.
        """
        self.require_space(needed_bytes)
        try:
            await self._threads.run(os.truncate, path, whole_sectors(length))
        except OSError as err:
            if not is_too_large_for_filesystem(err):
                raise
            raise UnsafeImage(f"its size of {length} bytes is more than a file can have here") from err

    def require_space(self, needed_bytes: int) -> None:
        """Refuse work that would leave less than the reserve.

        Raises:
            StorageFull: The message says how much is free, needed and reserved.
        """
        tools.require_space(self.directory, needed_bytes=needed_bytes, reserve_bytes=self._reserve_bytes)

    def is_full(self) -> bool:
        """Tell whether there is no room for another cluster: then a tool that failed may have failed for that."""
        room = os.statvfs(self.directory)
        return room.f_bavail * room.f_frsize < _CLUSTER_BYTES

    async def deliver(self, made: Path, path: Path) -> int:
        """Move a finished file out, to be ours alone; return its size. Afterwards it is on disk.

        Raises:
            StorageFull: It lies on another disk, which is full; nothing is left there.
        """

        def move() -> int:
            os.chown(made, os.geteuid(), os.getegid())
            made.chmod(0o600)
            durable.sync_file(made)
            durable.move(made, path)
            return path.stat().st_size

        with tools.full_disk_named():
            return await self._threads.run(move)
