"""Converting disks by qemu-img in a process of its own: how far it is, how long it may take, how it failed.

Every file is named with its format, as a description of block nodes that QEMU takes as it stands: it probes
nothing, and opens no other file than the one named, whatever its content says.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bakehouse.drivers import process
from bakehouse.drivers.volumes.foreign.window import Window
from bakehouse.drivers.volumes.qcow2 import tools
from bakehouse.drivers.volumes.sizes import SECTOR_BYTES, whole_sectors
from bakehouse.ports.volumes import StorageFull, UnsafeImage

Progress = Callable[[float], None]

#: Processor time that a conversion may take: a start, and what the slowest unpacking takes (zlib, 10 MiB/s here
#: when both processors are busy with other things).
_CPU_START_S: Final = 60
_CPU_BYTES_PER_S: Final = 2 << 20

#: How many lines of findings of a check are read.
_FINDINGS_MAX: Final = 20

#: The most that compression gains: a cluster of 64 KiB, qcow2's and VMDK's, in a sector of 512 bytes is 128; of 2 MiB,
#: zlib's own limit is near 1000. Beside it, the tables of an empty disk of 64 TiB.
_UNPACKED_MAX: Final = 1024
_START_BYTES: Final = 16 << 30

#: What else is said to QEMU of a format: no backing file, whatever the header says; and the size of a VHD by its
#: bytes, not by the geometry that some programs write, which may be smaller.
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "qcow2": {"backing": None},
    "vhdx": {},
    "vmdk": {"backing": None},
    "vpc": {"force_size_calc": "current_size"},
}

#: What `qemu-img convert -p` prints.
_PERCENT: Final = re.compile(r"\((\d+(?:\.\d+)?)/100%\)")
_REQUIRED: Final = re.compile(r"required size: (\d+)")


def alone(path: Path, driver: str) -> str:
    """Describe a disk's file that stands alone, for qemu-img in the place of a file name."""
    node: dict[str, Any] = {"driver": driver, "file": {"driver": "file", "filename": str(path)}, **_OPTIONS[driver]}
    return "json:" + json.dumps(node)


def bytes_of(path: Path, window: Window) -> str:
    """Describe the bytes of a part of a file as a raw disk, for qemu-img in the place of a file name.

    QEMU takes whole sectors only. In an archive what follows a file fills its last sector up, and is cut off later.
    """
    file: dict[str, Any] = {"driver": "file", "filename": str(path)}
    node: dict[str, Any] = {"driver": "raw", "file": file}
    if window.offset or window.length % SECTOR_BYTES == 0:
        node |= {"offset": window.offset, "size": whole_sectors(window.length)}
    return "json:" + json.dumps(node)


def percent_to(progress: Progress) -> Callable[[str], None]:
    """Return what reads qemu-img's lines and passes its progress on."""

    def on_line(line: str) -> None:
        if percent := _PERCENT.search(line):
            progress(min(float(percent[1]) / 100, 1.0))

    return on_line


def few_lines() -> Callable[[str], None]:
    """Return what reads a check's findings, and has enough of them: a file can make it write millions.

    What it returns raises UnsafeImage; qemu-img is killed then.
    """
    left = _FINDINGS_MAX

    def on_line(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise UnsafeImage("qemu-img cannot read it (its tables are wrong in many places)")

    return on_line


def require_likely(needed_bytes: int, *, packed_bytes: int) -> None:
    """Refuse a disk that unpacks into more than any compression explains.

    Raises:
        UnsafeImage: It does.
    """
    if needed_bytes > _START_BYTES + packed_bytes * _UNPACKED_MAX:
        raise UnsafeImage(f"it is a file of {packed_bytes} bytes that unpacks into {needed_bytes}")


async def required_bytes(*source: str | Path, owner: tuple[int, int] | None, names: Sequence[str]) -> int:
    """Return what the data of a disk takes, in bytes, zeros left out.

    Tables may name one cluster many times over: a file of a few MiB can hold terabytes of data.

    Args:
        source: The disk, as qemu-img's arguments.
        owner: Whom to read it as.
        names: Of the file, which the messages leave out.

    Raises:
        UnsafeImage: The disk cannot be read.
    """
    sizes = await tools.confined_qemu_img("measure", *source, "-O", "qcow2", "--output", "human", owner=owner)
    required = _REQUIRED.search(sizes.text)
    if sizes.returncode != 0 or required is None:
        raise failure(sizes, *names)
    return int(required[1])


def cpu_limit_s(data_bytes: int) -> int:
    """Return how much processor time a conversion of this much data may take."""
    return _CPU_START_S + data_bytes // _CPU_BYTES_PER_S


def failure(done: process.Completed, *names: str) -> Exception:
    """Tell a full disk from a bad file. Messages are for strangers: names of our own files are left out."""
    if tools.says_no_space(done.text):
        return StorageFull("the disk is full")
    forget = [text for name in names for text in (f"{name}: ", f"'{name}'", name)]
    return UnsafeImage(f"qemu-img cannot read it ({tools.last_line(done, forget)})")
