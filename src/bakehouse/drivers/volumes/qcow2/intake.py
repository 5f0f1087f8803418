"""Taking in a file from outside: look, copy, look again at the copy, and keep nothing but its data.

The second look is the one that counts: whoever owns the file may change it after the first. A qcow2 copy is then
converted to a raw layer, by an unprivileged user where there is one. Raw, not qcow2, for two reasons: no
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
from bakehouse.drivers.volumes.durable import DiskThreads
from bakehouse.drivers.volumes.inspection import Inspected
from bakehouse.drivers.volumes.qcow2 import conversion, tools
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, RAW
from bakehouse.drivers.volumes.qcow2.scratch import Scratch

Progress = Callable[[float], None]

#: `qemu-img check`: 0 is whole, 3 has clusters that nothing uses, which does no harm. Source: qemu-img(1), check.
_WHOLE: Final = (0, 3)

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

    def __init__(self, scratch: Scratch, threads: DiskThreads, *, owner: tuple[int, int] | None) -> None:
        self._scratch = scratch
        self._threads = threads
        self._owner = owner

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
                first = await self._threads.run(inspection.inspect, fd)
                inspection.chosen_disk(inspection.examined(first), wanted.disk, wanted.expected_format)
                async with self._scratch.file() as copy:
                    share = _COPY_SHARE if first.format == QCOW2 else 1.0
                    wanted.stage("copying")
                    await self._copy(fd, copy, lambda part: wanted.progress(part * share))
                    second = await self._threads.run(inspection.inspect_file, copy)
                    if second.format == RAW:
                        size_bytes = (await self._threads.run(copy.stat)).st_size
                        yield Taken(path=copy, size_bytes=size_bytes, source_format=RAW)
                        return
                    async with self._scratch.file() as plain:
                        wanted.stage("converting")
                        await self._convert(
                            copy, plain, second, lambda part: wanted.progress(share + part * (1 - share))
                        )
                        yield Taken(path=plain, size_bytes=second.size_bytes, source_format=second.format)
        finally:
            os.close(fd)

    async def _copy(self, fd: int, copy: Path, progress: Progress) -> None:
        """Copy the bytes of an open file, whatever they are, leaving out stretches of zeros."""
        stat = os.fstat(fd)
        needed_bytes = min(stat.st_blocks * 512, stat.st_size)
        await self._scratch.make_room(copy, length=stat.st_size, needed_bytes=needed_bytes)
        # By descriptor: the very file that was looked at, even if its name has come to mean another since.
        arguments = ("convert", "-p", "-n", "--target-is-zero", "-f", RAW, "-O", RAW)
        done = await process.stream(
            ["qemu-img", *arguments, f"/proc/self/fd/{fd}", copy],
            on_line=conversion.percent_to(progress),
            env=tools.ENVIRONMENT,
            check=False,
            pass_fds=[fd],
        )
        if done.returncode != 0:
            raise conversion.failure(done, f"/proc/self/fd/{fd}")

    async def _convert(self, copy: Path, plain: Path, disk: Inspected, progress: Progress) -> None:
        """Check the tables of a qcow2 file, and write the disk that they describe to a raw one."""
        checked = await tools.confined_qemu_img("check", "-q", "-f", QCOW2, copy, owner=self._owner)
        if checked.returncode not in _WHOLE:
            raise conversion.failure(checked, str(copy))
        needed_bytes = await conversion.required_bytes("-f", QCOW2, copy, owner=self._owner, name=str(copy))
        await self._scratch.make_room(plain, length=disk.size_bytes, needed_bytes=needed_bytes)
        done = await tools.confined_qemu_img(
            *("convert", "-p", "-n", "--target-is-zero", "-f", QCOW2, "-O", RAW, copy, plain),
            owner=self._owner,
            cpu_s=conversion.cpu_limit_s(needed_bytes),
            on_line=conversion.percent_to(progress),
        )
        if done.returncode != 0:
            raise conversion.failure(done, str(copy))
