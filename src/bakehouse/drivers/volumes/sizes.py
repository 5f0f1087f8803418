"""What sizes a volume may have, in every store."""

from typing import Final

#: Disks are made of sectors; QEMU rounds a raw file up to them, and guests count in them.
SECTOR_BYTES: Final = 512


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
