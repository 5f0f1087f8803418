"""The directory of layers: flat, each file named for the volume or snapshot that it was made for, with a number.

The writable top of a volume and every frozen layer lie side by side, and a backing file is named by its bare
name with its format given, so that the directory can be moved and QEMU never has to guess. The name of one that is
encrypted says with which data key: `vol-0123.4.dk-4567.qcow2`.
"""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes import durable, qcow2_header
from bakehouse.drivers.volumes.durable import DiskThreads
from bakehouse.drivers.volumes.qcow2 import tools
from bakehouse.drivers.volumes.qcow2.tables import Plan, create_encrypted
from bakehouse.ports.volumes import LayerKey

QCOW2: Final = "qcow2"
RAW: Final = "raw"

#: Where in a layer's name its data key is, if it has one.
_KEY_PART: Final = 2

#: Of a new top: clusters of 64 KiB in parts of 2 KiB. A first write to a cluster brings only its own parts from below,
#: not all of it (`bench/README.md` has the figures).
_TOP_OPTIONS: Final = "cluster_size=64k,extended_l2=on"

#: Nobody writes to a frozen layer again, nor to one by mistake.
FROZEN_MODE: Final = 0o444
TOP_MODE: Final = 0o600

#: Entered, not listed, by the user that QEMU runs as; closed to everybody else.
SHARED_DIRECTORY_MODE: Final = 0o710
PRIVATE_DIRECTORY_MODE: Final = 0o700

#: `struct flock`: l_type, l_whence, l_start, l_len, l_pid, padded as C does. Source: fcntl(2).
_FLOCK: Final = struct.Struct("hhqqi0q")

#: Locked by every process of QEMU's that may write to an image: 100 plus the bit of BLK_PERM_WRITE.
#: Source: QEMU's `block/file-posix.c`, RAW_LOCK_PERM_BASE; `include/block/block-common.h`.
_WRITER_LOCK_BYTE: Final = 101


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file as a sweep saw it."""

    name: str
    allocated_bytes: int
    backing: str | None
    is_frozen: bool = False
    """Whether nobody writes to it again. A volume's top is not, nor is a file that is still being made."""


def format_of(name: str) -> str:
    """Return a layer's format: it is the name's suffix, so that no record can contradict it."""
    return name.rpartition(".")[2]


def data_key_of(name: str) -> str | None:
    """Return the id of the data key that opens a layer; None when it is not encrypted. The name tells, as its format.

    Source of the parts of a name: `LayerDirectory.new_name`.
    """
    parts = name.split(".")
    return parts[_KEY_PART] if len(parts) > _KEY_PART + 1 else None


def prepare_directory(path: Path, owner: tuple[int, int] | None) -> None:
    """Make a directory that holds guests' data, if it is not there, and close it to everybody else."""
    path.mkdir(parents=True, exist_ok=True)
    if owner is None:
        path.chmod(PRIVATE_DIRECTORY_MODE)
    else:
        os.chown(path, -1, owner[1])
        path.chmod(SHARED_DIRECTORY_MODE)


class LayerDirectory:
    """Makes, freezes, reads and removes layers."""

    def __init__(self, directory: Path, threads: DiskThreads, *, owner: tuple[int, int] | None) -> None:
        self.directory = directory
        self._threads = threads
        self._owner = owner
        self._last_given: dict[str, int] = {}

    def path(self, name: str) -> Path:
        """Return where a layer is."""
        return self.directory / name

    def new_name(self, stem: str, layer_format: str, data_key_id: str | None = None) -> str:
        """Return a name for a new layer, numbered upwards. Blocks for a moment.

        No name is given twice, even when nothing was made of it: a sweep may still be at work on the former file.
        A volume that was deleted and made again finds its former layers here: snapshots may need them.
        """
        taken = [int(path.name.split(".")[1]) for path in self.directory.glob(stem + ".*")]
        number = max([*taken, self._last_given.get(stem, -1)]) + 1
        self._last_given[stem] = number
        key_part = "" if data_key_id is None else f"{data_key_id}."
        return f"{stem}.{number}.{key_part}{layer_format}"

    async def create_top(self, name: str, *, backing: str | None, size_bytes: int, key: LayerKey | None = None) -> None:
        """Make an empty writable layer, over another or over nothing. Afterwards it is on disk.

        With a key, which is the one in its name, it is encrypted.

        Raises:
            ProcessFailed: qemu-img could not; a part of the file may be left.
            OSError: It could not be brought to disk; the file may be left.
        """
        if key is not None:
            plan = Plan(
                size_bytes=size_bytes,
                parent=backing,
                parent_format=None if backing is None else format_of(backing),
                key_id=key.id,
                in_parts=True,
            )
            await self._threads.run(create_encrypted, self.path(name), plan, key.passphrase)
            await self._threads.run(self._settle_top, self.path(name))
            return
        # -u: the backing file is not opened, so it may be the top of a live machine, which QEMU has locked.
        over = () if backing is None else ("-u", "-b", backing, "-F", format_of(backing))
        path = self.path(name)
        await tools.qemu_img("create", "-q", "-f", QCOW2, "-o", _TOP_OPTIONS, *over, path, str(size_bytes))
        await self._threads.run(self._settle_top, path)

    def freeze(self, name: str) -> None:
        """Make a layer read-only for good, with all that was written to it on disk. Blocks."""
        self._freeze(self.path(name))

    def sync(self, name: str) -> None:
        """Bring a layer's data to the disk while it is still written to, so that freezing it has little left to do."""
        durable.sync_file(self.path(name))

    def adopt(self, source: Path, name: str) -> None:
        """Move a finished file in as a frozen layer. Afterwards it is on disk under its name. Blocks."""
        self._freeze(source)
        source.rename(self.path(name))
        durable.sync_directory(self.directory)

    def is_held(self, name: str) -> bool:
        """Tell whether a process has the layer open, by the locks with which QEMU marks every image it opens."""
        return self._is_locked(name, 0, 0)

    def is_written(self, name: str) -> bool:
        """Tell whether a process has the layer open to write to it, as a machine has its tops."""
        return self._is_locked(name, _WRITER_LOCK_BYTE, 1)

    def backing_of(self, name: str) -> str | None:
        """Return the layer below one; None when it stands alone. Blocks."""
        return self._backing(self.path(name))

    def chain(self, name: str) -> list[str]:
        """Return a layer and all below it, the upper first. Blocks."""
        names = [name]
        while (below := self._backing(self.path(names[-1]))) is not None:
            names.append(below)
        return names

    def depth(self, name: str) -> int:
        """Return how many files a read may pass through, 1 for a layer that stands alone. Blocks."""
        return len(self.chain(name))

    def scan(self) -> list[LayerFile]:
        """Look at every file in the directory. One that vanishes meanwhile is left out. Blocks."""
        found = []
        for entry in os.scandir(self.directory):
            try:
                status = entry.stat()
                is_frozen = stat.S_IMODE(status.st_mode) == FROZEN_MODE
                backing = self._backing(Path(entry.path))
                found.append(LayerFile(entry.name, status.st_blocks * 512, backing, is_frozen))
            except FileNotFoundError:
                continue
        return found

    def virtual_size(self, name: str) -> int:
        """Return the size of the disk that a layer shows. Blocks.

        Raises:
            OSError: It cannot be read.
            NotQcow2: A file named as qcow2 is none.
        """
        path = self.path(name)
        if format_of(name) != QCOW2:
            return path.stat().st_size
        with path.open("rb") as file:
            return qcow2_header.read(file.fileno())[0].size_bytes

    def replace(self, name: str, by: str) -> None:
        """Put a frozen layer in the place of another that reads the same. Afterwards that is on disk. Blocks.

        Whoever has the former one open keeps it; whoever opens the name from now on gets the new one.
        """
        self.path(by).replace(self.path(name))
        durable.sync_directory(self.directory)

    def discard(self, names: Iterable[str]) -> None:
        """Remove layers that nothing needs, those that are there. Blocks."""
        for name in names:
            self.path(name).unlink(missing_ok=True)
        durable.sync_directory(self.directory)

    def _is_locked(self, name: str, start: int, length: int) -> bool:
        try:
            fd = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
            answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, query)
        finally:
            os.close(fd)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def _backing(self, path: Path) -> str | None:
        if format_of(path.name) != QCOW2:
            return None
        try:
            return qcow2_header.backing_name(path)
        except qcow2_header.NotQcow2:
            return None  # Cut short while it was made: it needs nothing, and nothing can need it.

    def _freeze(self, path: Path) -> None:
        if self._owner is not None:
            # QEMU's user keeps the right to read; of a file of its own it could change the mode.
            os.chown(path, 0, self._owner[1])
        path.chmod(FROZEN_MODE)
        durable.sync_file(path)

    def _settle_top(self, path: Path) -> None:
        path.chmod(TOP_MODE)
        if self._owner is not None:
            os.chown(path, *self._owner)
        durable.sync_file(path)
        durable.sync_directory(self.directory)


def is_too_large_for_filesystem(err: OSError) -> bool:
    """Tell whether a file could not be made that long (16 TiB on ext4 with 4 KiB blocks)."""
    return err.errno == errno.EFBIG
