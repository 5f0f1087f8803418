"""Taking in a file from outside: look, copy, look again at the copy, and keep nothing but its data.

The second look is the one that counts: whoever owns the file may change it after the first. A copy that is not plain
bytes is then converted to a raw layer, by an unprivileged user where there is one. Raw, not qcow2, for two reasons: no
metadata that a stranger made is ever opened by a machine, and the bottom layer, which every instance of the
image reads, is flat and uncompressed. It stays sparse, so it takes no more room than its data.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.volumes import inspection
from bakehouse.drivers.volumes.foreign.window import Window, whole
from bakehouse.drivers.volumes.inspection import Part
from bakehouse.drivers.volumes.qcow2 import conversion, tools
from bakehouse.drivers.volumes.qcow2.layers import RAW
from bakehouse.drivers.volumes.qcow2.scratch import Scratch
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.volumes import UnsafeImage

Progress = Callable[[float], None]

#: `qemu-img check`: 0 is whole, 3 has clusters that nothing uses, which does no harm. Source: qemu-img(1), check.
_WHOLE: Final = (0, 3)

#: The formats that qemu-img can check; a VHD's table is read by the inspection.
_CHECKED: Final = ("qcow2", "vhdx", "vmdk")

#: How much of the work copying is; the rest is converting, which unpacks. Measured with a compressed image of
#: 300 MiB, programs and libraries of 800 MiB: 0.2 s and 3.1 s.
_COPY_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A raw file with the disk's data, ours alone."""

    path: Path
    size_bytes: int
    source_format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to take of a file, and whom to tell: see `VolumeStore.import_file`."""

    disk: int = 0
    expected_format: str | None = None
    progress: Progress
    stage: Callable[[str], None]


class Intake:
    """Makes private raw copies in a directory of their own."""

    def __init__(self, stock: Stock, scratch: Scratch) -> None:
        self._threads = stock.threads
        self._owner = stock.owner
        self._scratch = scratch

    @asynccontextmanager
    async def take(self, source: Path, wanted: Wanted) -> AsyncIterator[Taken]:
        """Give a private raw copy of the disk in `source`. What the block has not moved away is removed after it.

        Raises:
            UnsafeImage: The file is refused; the text says why.
            StorageFull: There is no room for it.
            OSError: It cannot be opened.
        """
        fd = await self._threads.run(inspection.open_regular, source)
        try:
            with tools.full_disk_named():
                wanted.stage("validating")
                found = await self._threads.run(inspection.look, fd, wanted.expected_format)
                part = found.part(wanted.disk)
                async with self._scratch.file() as copy:
                    share = 1.0 if part.driver == RAW else _COPY_SHARE
                    wanted.stage("copying")
                    await self._copy(part.window, copy, lambda done: wanted.progress(done * share))
                    if part.driver == RAW:
                        # Whatever is in it by now, nobody but a guest reads more into it than bytes.
                        yield Taken(path=copy, size_bytes=part.disk.size_bytes, source_format=found.format)
                        return
                    size_bytes = await self._size_of_copy(copy, part)
                    async with self._scratch.file() as plain:
                        wanted.stage("converting")
                        await self._convert(
                            copy,
                            part.driver,
                            plain,
                            size_bytes,
                            lambda done: wanted.progress(share + done * (1 - share)),
                        )
                        yield Taken(path=plain, size_bytes=size_bytes, source_format=found.format)
        finally:
            os.close(fd)

    async def _copy(self, window: Window, copy: Path, progress: Progress) -> None:
        """Copy bytes of an open file, whatever they are, leaving out stretches of zeros."""
        stat = os.fstat(window.fd)
        needed_bytes = min(stat.st_blocks * 512, window.length)
        await self._scratch.make_room(copy, length=window.length, needed_bytes=needed_bytes)
        # By descriptor: the very file that was looked at, even if its name has come to mean another since.
        path = Path(f"/proc/self/fd/{window.fd}")
        arguments = ("convert", "-p", "-n", "--target-is-zero", "-O", RAW)
        done = await process.stream(
            ["qemu-img", *arguments, conversion.bytes_of(path, window), copy],
            on_line=conversion.percent_to(progress),
            env=tools.ENVIRONMENT,
            check=False,
            pass_fds=[window.fd],
        )
        if done.returncode != 0:
            raise conversion.failure(done, str(path), str(copy))

    async def _size_of_copy(self, copy: Path, part: Part) -> int:
        """Look at the private copy: the look that counts. Return the disk's size.

        Raises:
            UnsafeImage: It is not the disk that was seen before, or not a safe one any more.
        """

        def look() -> Part:
            os.truncate(copy, part.window.length)  # Copying filled the last sector up.
            with copy.open("rb") as file:
                return inspection.look_at_disk(whole(file.fileno()))

        again = await self._threads.run(look)
        if again.driver != part.driver:
            raise UnsafeImage("it was changed while it was copied")
        return again.disk.size_bytes

    async def _convert(self, copy: Path, driver: str, plain: Path, size_bytes: int, progress: Progress) -> None:
        """Check the tables of a disk's file, and write the disk that they describe to a raw one."""
        source = conversion.alone(copy, driver)
        if driver in _CHECKED:
            checked = await tools.confined_qemu_img(
                "check", "-q", source, owner=self._owner, on_line=conversion.few_lines()
            )
            if checked.returncode not in _WHOLE:
                raise conversion.failure(checked, source, str(copy))
        needed_bytes = await conversion.required_bytes(source, owner=self._owner, names=(source, str(copy)))
        conversion.require_likely(needed_bytes, packed_bytes=(await self._threads.run(copy.stat)).st_size)
        await self._scratch.make_room(plain, length=size_bytes, needed_bytes=needed_bytes)
        done = await tools.confined_qemu_img(
            *("convert", "-p", "-n", "--target-is-zero", "-O", RAW, source, str(plain)),
            owner=self._owner,
            cpu_s=conversion.cpu_limit_s(needed_bytes),
            on_line=conversion.percent_to(progress),
        )
        if done.returncode != 0:
            raise conversion.failure(done, source, str(copy))
