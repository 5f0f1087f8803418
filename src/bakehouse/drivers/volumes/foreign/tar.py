"""The list of a tar archive's files, for archives that come from strangers: nothing is ever extracted by its name.

Only plain files with plain names in one folder pass; what else tar can hold (links, devices, folders, sparse
files, names and sizes in extended headers) is refused rather than understood.
"""

import re
import tarfile
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers.volumes.foreign.window import Window
from bakehouse.ports.volumes import UnsafeImage

_BLOCK_BYTES: Final = 512

#: `ustar` and its place; POSIX and GNU tar both write it.
MAGIC: Final = b"ustar"
MAGIC_AT: Final = 257

#: A machine's description, its checksums, its certificate, and its disks: far fewer than this.
_FILES_MAX: Final = 256

#: Extended headers hold times and owners' names; longer ones hold something else.
_EXTENDED_BYTES_MAX: Final = 64 << 10

#: Of extended headers, what would change what a file is, where it is, or how long.
_UNSAFE_RECORD: Final = re.compile(rb"\d+ (path|linkpath|size|hdrcharset|GNU\.sparse[^=]*)=")


@dataclass(frozen=True, slots=True)
class TarFile:
    """One file in an archive."""

    name: str
    content: Window


def files(archive: Window) -> list[TarFile]:
    """Return an archive's files, in order.

    Raises:
        UnsafeImage: It holds something else than files, or names that lead somewhere else, or it is damaged.
    """
    found: dict[str, TarFile] = {}
    at = 0
    headers = 0
    while any(block := archive.read(at, _BLOCK_BYTES)):
        headers += 1
        if headers > 2 * _FILES_MAX:
            raise UnsafeImage(f"it is an archive of more than {_FILES_MAX} files")
        header = _parsed(block)
        content = archive.inside(at + _BLOCK_BYTES, header.size)
        at += _BLOCK_BYTES + -(-header.size // _BLOCK_BYTES) * _BLOCK_BYTES
        if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE):
            _check_extended(content)
            continue
        if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise UnsafeImage(f"it is an archive with {_kind(header.type)} in it, {header.name[:80]!r}")
        name = header.name.removeprefix("./")
        if not name or "/" in name or "\\" in name or name in (".", "..") or not name.isprintable():
            raise UnsafeImage(f"it is an archive with a file {header.name[:80]!r}, whose name leads out of it")
        if name in found:
            raise UnsafeImage(f"it is an archive with two files {name[:80]!r}")
        found[name] = TarFile(name, content)
    if len(found) > _FILES_MAX:
        raise UnsafeImage(f"it is an archive of more than {_FILES_MAX} files")
    return list(found.values())


def _parsed(block: bytes) -> tarfile.TarInfo:
    try:
        # Parses this one block, checksum included, and reads no more, whatever sizes it names.
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as err:
        raise UnsafeImage("it is a damaged archive") from err
    if header.size < 0:
        raise UnsafeImage("it is a damaged archive")
    return header


def _check_extended(content: Window) -> None:
    if content.length > _EXTENDED_BYTES_MAX or _UNSAFE_RECORD.search(content.read(0, content.length)):
        raise UnsafeImage("it is an archive with extended headers that are not known to be safe")


def _kind(header_type: bytes) -> str:
    if header_type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        return "a link"
    if header_type == tarfile.DIRTYPE:
        return "a folder"
    return "something that is no file"
