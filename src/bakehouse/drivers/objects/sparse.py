"""Copying a file inside of the kernel, holes as holes: a disk of 100 GiB with 1 GiB of data costs 1 GiB."""

import errno
import os
from typing import Final

from bakehouse.drivers.long_work import Work

#: Between two looks at whether somebody still waits.
_CHUNK_BYTES: Final = 16 << 20

#: Filesystems that cannot copy between each other say one of these.
_CANNOT_COPY_RANGE: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def copy_sparse(source: int, target: int, size: int, work: Work) -> None:
    """Copy the first `size` bytes of one open file into another, empty one. Blocks.

    Raises:
        Abandoned: Nobody waits any more; a part was copied.
        OSError: A part was copied.
    """
    os.ftruncate(target, size)
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(source, offset, os.SEEK_DATA)
        except OSError as err:
            if err.errno != errno.ENXIO:
                raise
            break  # Nothing but a hole up to the end.
        end = min(os.lseek(source, offset, os.SEEK_HOLE), size)
        while offset < end:
            copied = _copy_some(source, target, offset, min(_CHUNK_BYTES, end - offset))
            if copied == 0:
                break  # It was cut short meanwhile; what is missing reads as zeros, and is for others to find out.
            offset += copied
            work.report(offset, size)
        offset = max(offset, end)
    work.report(size, size)


def _copy_some(source: int, target: int, offset: int, length: int) -> int:
    try:
        return os.copy_file_range(source, target, length, offset, offset)
    except OSError as err:
        if err.errno not in _CANNOT_COPY_RANGE:
            raise
        return os.pwrite(target, os.pread(source, min(length, 1 << 20), offset), offset)
