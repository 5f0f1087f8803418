"""What sizes a volume may have, in every store."""

from collections.abc import Mapping
from typing import Final

from bakehouse.ports.disk_files import CannotExport, ExportFormat

#: Disks are made of sectors; QEMU rounds a raw file up to them, and guests count in them.
SECTOR_BYTES: Final = 512

#: The largest disk in a file. Source: Microsoft, "Virtual Hard Disk Image Format Specification": 2040 GiB.
_LARGEST_BYTES: Final[Mapping[ExportFormat, int]] = {ExportFormat.VHD: 2040 << 30}


def whole_sectors(length: int) -> int:
    """Return a length in bytes, rounded up to whole sectors."""
    return -(-length // SECTOR_BYTES) * SECTOR_BYTES


def check(size_bytes: int, *, at_least: int) -> None:
    """Refuse a volume's size that is not a positive multiple of a sector, or less than its snapshot's.

    Raises:
        ValueError: EC2's rules are the caller's; these are the store's own.
    """
    if size_bytes % SECTOR_BYTES or size_bytes < max(at_least, SECTOR_BYTES):
        raise ValueError(f"{size_bytes} bytes: must be a multiple of {SECTOR_BYTES} and at least {at_least}")


def check_exportable(size_bytes: int, file_format: ExportFormat) -> None:
    """Return if a disk of this size fits into a file of this format.

    Raises:
        CannotExport: It does not.
    """
    largest = _LARGEST_BYTES.get(file_format)
    if largest is not None and size_bytes > largest:
        raise CannotExport(
            f"a disk of {-(-size_bytes >> 30)} GiB does not fit into a file of format {file_format}, "
            f"which holds {largest >> 30} GiB at most"
        )
