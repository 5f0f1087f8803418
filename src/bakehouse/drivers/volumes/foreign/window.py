"""A part of an open file, as if it were a file: a disk inside of an archive begins somewhere in it."""

import os
from dataclasses import dataclass

from bakehouse.ports.volumes import UnsafeImage


@dataclass(frozen=True, slots=True)
class Window:
    """`length` bytes of an open file from `offset` on."""

    fd: int
    offset: int
    length: int

    def read(self, at: int, length: int) -> bytes:
        """Return the bytes there, fewer at the end.

        Raises:
            UnsafeImage: The file cannot be read there.
        """
        if at < 0 or at >= self.length:
            return b""
        try:
            return os.pread(self.fd, min(length, self.length - at), self.offset + at)
        except OSError as err:
            raise UnsafeImage(f"it cannot be read ({err.strerror})") from err

    def exactly(self, at: int, length: int, what: str) -> bytes:
        """Return the bytes there.

        Raises:
            UnsafeImage: The file ends before; the message names what is missing.
        """
        data = self.read(at, length)
        if len(data) != length:
            raise UnsafeImage(f"it is cut short: {what} is missing")
        return data

    def inside(self, offset: int, length: int) -> "Window":
        """Return a part of this part.

        Raises:
            UnsafeImage: It does not lie within.
        """
        if offset < 0 or length < 0 or offset + length > self.length:
            raise UnsafeImage("it is cut short")
        return Window(self.fd, self.offset + offset, length)


def whole(fd: int) -> Window:
    """Return all of an open file."""
    return Window(fd, 0, os.fstat(fd).st_size)
