"""Raw disk files: a partition table, and what a BIOS reads in front of the partitions."""

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.images import host

SECTOR: Final = 512
MIB: Final = 1 << 20

#: Room for code in the first sector; the rest of it is the partition table.
_BOOT_CODE_BYTES: Final = 440


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. Start and size in sectors; `kind` and `extra` as sfdisk takes them."""

    start: int
    sectors: int
    kind: str
    extra: str = ""

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        return self.start * SECTOR

    @property
    def size(self) -> int:
        """How long it is, in bytes."""
        return self.sectors * SECTOR


async def create(disk: Path, size_bytes: int, label: str, label_id: str, table: Sequence[Partition]) -> None:
    """Make an empty, sparse disk with a partition table.

    Args:
        disk: The file; replaced if it is there.
        size_bytes: Size of the disk.
        label: `dos` or `gpt`.
        label_id: The disk's own id: eight hex digits with 0x for dos, a uuid for gpt.
        table: The partitions, in order.

    Raises:
        process.ProcessFailed: sfdisk refused the table, or is not installed.
    """
    with disk.open("wb") as file:
        file.truncate(size_bytes)
    lines = [f"label: {label}", f"label-id: {label_id}"]
    lines += [
        ", ".join(filter(None, (f"start={part.start}", f"size={part.sectors}", f"type={part.kind}", part.extra)))
        for part in table
    ]
    await process.run(["sfdisk", "-q", disk], stdin="\n".join(lines).encode(), env=host.environment())


def write(disk: Path, offset: int, content: bytes) -> None:
    """Put bytes into a disk at an offset in bytes."""
    with disk.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def write_boot_code(disk: Path, code: bytes) -> None:
    """Put code into the first sector, beside the partition table."""
    write(disk, 0, code[:_BOOT_CODE_BYTES])


def flush(disk: Path) -> None:
    """Return once the file's content is on the host's disk."""
    descriptor = os.open(disk, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def derived_uuid(content_key: str, purpose: str) -> uuid.UUID:
    """Return an id that is the same for the same content, so that equal images are equal in every byte."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{content_key} {purpose}")
