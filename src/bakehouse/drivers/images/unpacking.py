"""Unpacks what publishers packed by xz, within bounds."""

import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK_BYTES: Final = 1 << 20

#: What an unpacker may take. `xz -9`, the most that the tool offers, needs 65 MiB. Source: xz(1), "Memory usage".
_MEMORY_MAX: Final = 256 << 20

#: Streams are padded to it with zeros. Source: the .xz file format, section 2.2.
_PADDING_BYTES: Final = 4


class CannotUnpack(Exception):
    """A file is not what it should be when unpacked. The text says why."""


def unpack_xz(packed: Path, target: Path, limit_bytes: int, progress: Callable[[float], None]) -> None:
    """Write what is in a packed file into another, with holes for its zeros.

    Raises:
        CannotUnpack: It is broken, cut short, or larger than the limit; the target has a part.
    """
    size = packed.stat().st_size
    with packed.open("rb") as source, target.open("wb") as file:
        written, rest, streams = 0, source.read(_BLOCK_BYTES), 0
        while rest:
            decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY_MAX)
            while not decoder.eof:
                block = _decoded(decoder, rest if decoder.needs_input else b"", packed)
                written += len(block)
                if written > limit_bytes:
                    raise CannotUnpack(f"`{packed.name}` unpacks to more than {limit_bytes} bytes")
                _write_sparse(file, block)
                progress(source.tell() / size)
                if decoder.needs_input and not decoder.eof:
                    rest = source.read(_BLOCK_BYTES)
                    if not rest:
                        raise CannotUnpack(f"`{packed.name}` is cut short")
            streams += 1
            rest = _without_padding(decoder.unused_data, source, packed)
        if not streams:
            raise CannotUnpack(f"`{packed.name}` is empty")
        # A file ends with its last byte, also where that is in a hole.
        file.truncate(written)


def _decoded(decoder: lzma.LZMADecompressor, data: bytes, packed: Path) -> bytes:
    try:
        return decoder.decompress(data, _BLOCK_BYTES)
    except lzma.LZMAError as err:
        raise CannotUnpack(f"`{packed.name}` cannot be unpacked: {err}") from err


def _without_padding(data: bytes, source: BinaryIO, packed: Path) -> bytes:
    """Return what comes after a stream's padding; nothing at the end."""
    padding = 0
    while True:
        left = data.lstrip(b"\0")
        padding += len(data) - len(left)
        if left:
            break
        data = source.read(_BLOCK_BYTES)
        if not data:
            break
    if padding % _PADDING_BYTES:
        raise CannotUnpack(f"`{packed.name}` cannot be unpacked: its padding is broken")
    return left


def _write_sparse(file: BinaryIO, block: bytes) -> None:
    if block.count(0) == len(block):
        file.seek(len(block), os.SEEK_CUR)
    else:
        file.write(block)
