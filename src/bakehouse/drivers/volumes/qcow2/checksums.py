"""Checksums of frozen layers, made in the background, one small file for each.

A checksum is of a file's length and data: of every block of 64 KiB that is not all zeroes, with its place. So a copy of
a home has the same checksums, wherever it keeps holes.
"""

import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bakehouse.drivers.volumes import durable

BLOCK_BYTES: Final = 64 << 10
#: What is read in one piece by a thread.
PIECE_BYTES: Final = 4 << 20

_SUFFIX: Final = ".json"
_ZEROES: Final = bytes(BLOCK_BYTES)
_PLACE: Final = struct.Struct("<Q")


class LayerSum(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a layer's data must add up to."""

    blake2b: str
    next_blake2b: str | None = None
    """Of the layer that is about to take this one's place: until that is done, either is right."""

    def fits(self, digest: str) -> bool:
        """Tell whether a layer that adds up to this is whole."""
        return digest in (self.blake2b, self.next_blake2b)


class Checksums:
    """The directory of checksums. Methods block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, layer: str) -> LayerSum | None:
        """Return a layer's checksum; None when there is none that can be read, so that it is made anew."""
        try:
            return msgspec.json.decode(self._path(layer).read_bytes(), type=LayerSum)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def put(self, layer: str, known: LayerSum) -> None:
        """Keep a layer's checksum."""
        durable.write(self._path(layer), msgspec.json.encode(known))

    def known(self) -> set[str]:
        """Return the names of the layers that have one."""
        return {path.name.removesuffix(_SUFFIX) for path in self._directory.glob("*" + _SUFFIX)}

    def forget(self, layers: set[str]) -> None:
        """Remove the checksums of layers that are gone."""
        for layer in layers:
            self._path(layer).unlink(missing_ok=True)

    def _path(self, layer: str) -> Path:
        return self._directory / (layer + _SUFFIX)


class Reading:
    """Adds up a file, a piece at a time, so that whoever reads it can pause in between."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sum = hashlib.blake2b(digest_size=32)
        self.bytes_read = 0

    def pieces(self) -> Iterator[int]:
        """Read on with each step, which blocks; yields the bytes read in it."""
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            size = os.fstat(fd).st_size
            self._sum.update(_PLACE.pack(size))
            for start, end in _data(fd, size):
                for at in range(start, end, PIECE_BYTES):
                    piece = os.pread(fd, min(PIECE_BYTES, end - at), at)
                    self._add(at, piece)
                    self.bytes_read += len(piece)
                    yield len(piece)
        finally:
            os.close(fd)

    def digest(self) -> str:
        """Return the sum of all that was read."""
        return self._sum.hexdigest()

    def _add(self, at: int, piece: bytes) -> None:
        for offset in range(0, len(piece), BLOCK_BYTES):
            block = piece[
                offset : offset + BLOCK_BYTES
            ]  # Copied: views are compared byte by byte, a hundred times slower.
            if block != _ZEROES[: len(block)]:
                self._sum.update(_PLACE.pack(at + offset))
                self._sum.update(block)


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data, widened to whole blocks, without overlap. Source: lseek(2), SEEK_DATA."""
    done = 0
    while done < size:
        try:
            start = os.lseek(fd, done, os.SEEK_DATA)
        except OSError as err:
            if err.errno != errno.ENXIO:
                raise
            return  # Nothing but a hole up to the end.
        end = os.lseek(fd, start, os.SEEK_HOLE)
        done = min(-(-end // BLOCK_BYTES) * BLOCK_BYTES, size)
        yield start // BLOCK_BYTES * BLOCK_BYTES, done
