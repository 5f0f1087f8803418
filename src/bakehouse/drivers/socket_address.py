"""Addresses of Unix sockets, which hold 107 bytes, however long the path of their directory is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short(directory: Path) -> Iterator[str]:
    """Give another name to a directory for as long as the block lasts; append the socket's own.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
