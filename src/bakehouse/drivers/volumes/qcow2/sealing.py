"""Encrypted snapshots as files that are as encrypted: a packed layer that stands alone, with its data key beside it.

The layer is a copy of all that the snapshot's chain holds, under a data key of its own. That key goes into the pack as
it lies beside the layers, encrypted with the snapshot's key of the key store. Only the archive takes such files back:
the tables of the layer inside are believed as they are.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from bakehouse.drivers.long_work import Work, in_thread
from bakehouse.drivers.volumes import pack
from bakehouse.drivers.volumes.qcow2 import tools
from bakehouse.drivers.volumes.qcow2.conversion import Progress
from bakehouse.drivers.volumes.qcow2.data_keys import DataKeyManifest
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, data_key_of
from bakehouse.drivers.volumes.qcow2.manifests import SnapshotManifest
from bakehouse.drivers.volumes.qcow2.reencryption import Reencryption
from bakehouse.drivers.volumes.qcow2.scratch import Scratch
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.disk_files import NotAPack, PackContents

#: The member of a pack's document that says what is sealed in it.
MEMBER: Final = "sealed"


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What a pack says of the layer in it."""

    size_bytes: int
    """Of the disk that the layer shows."""
    data_key_id: str
    data_key: DataKeyManifest


class Sealing:
    """Writes such files and takes them back."""

    def __init__(self, stock: Stock, *, scratch: Scratch, reencryption: Reencryption) -> None:
        self._snapshots = stock.snapshots
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._opening = stock.opening
        self._scratch = scratch
        self._reencryption = reencryption

    async def seal(self, path: Path, snapshot_id: str, snapshot: SnapshotManifest, progress: Progress) -> int:
        """Write a snapshot's disk into a file, and return the file's size.

        Raises:
            StorageFull: Nothing is left.
            KeyUnavailable: Nothing is left.
        """
        key_id = self._opening.key_id(snapshot.layer) or ""
        files = await self._opening.chain(snapshot.layer)
        with tools.full_disk_named(), self._pins.hold(snapshot.layer):
            async with self._reencryption.copy(files, snapshot.size_bytes, snapshot_id, key_id) as layer:
                try:
                    return await self._packed(path, snapshot_id, snapshot.size_bytes, layer, progress)
                finally:
                    await self._threads.run(self._layers.discard, [layer])

    async def unseal(self, path: Path, snapshot_id: str, progress: Progress) -> None:
        """Make a snapshot of such a file.

        Raises:
            NotAPack: It is none, or damaged. Nothing was made.
            StorageFull: Nothing was made.
        """
        if self._snapshots.get(snapshot_id) is not None:
            progress(1.0)
            return
        with tools.full_disk_named(), path.open("rb") as file:
            reader = await self._threads.run(pack.Reader, file)
            seal = seal_of(reader.contents)
            self._scratch.require_space(sum(reader.data_bytes))
            async with self._scratch.file() as made:
                await self._scratch.make_room(made, length=reader.contents.disk_sizes_bytes[0], needed_bytes=0)
                await in_thread(lambda work: _restore(reader, made, work), progress)
                await self._adopt(made, snapshot_id, seal)

    async def _packed(self, path: Path, snapshot_id: str, size_bytes: int, layer: str, progress: Progress) -> int:
        data_key_id = data_key_of(layer) or ""
        seal = Seal(size_bytes=size_bytes, data_key_id=data_key_id, data_key=self._opening.data_key(data_key_id))
        document = {"snapshot_id": snapshot_id, MEMBER: msgspec.to_builtins(seal)}
        source = self._layers.path(layer)
        async with self._scratch.file() as made:
            await in_thread(lambda work: _write(made, document, source, work), progress)
            return await self._scratch.deliver(made, path)

    async def _adopt(self, made: Path, snapshot_id: str, seal: Seal) -> None:
        name = await self._threads.run(self._layers.new_name, snapshot_id, QCOW2, seal.data_key_id)
        with self._pins.hold(name, seal.data_key_id):
            await self._opening.keep_data_key(seal.data_key_id, seal.data_key)
            await self._threads.run(self._layers.adopt, made, name)
            try:
                await self._snapshots.save(snapshot_id, SnapshotManifest(layer=name, size_bytes=seal.size_bytes))
            except BaseException:
                await self._threads.run(self._layers.discard, [name])
                raise


def seal_of(contents: PackContents) -> Seal:
    """Return what a pack says of the layer in it.

    Raises:
        NotAPack: It says nothing that can be.
    """
    with suppress(KeyError, msgspec.ValidationError):
        if len(contents.disk_sizes_bytes) == 1:
            return msgspec.convert(contents.document[MEMBER], Seal)
    raise NotAPack("no encrypted snapshot is in it")


def _write(made: Path, document: dict[str, Any], source: Path, work: Work) -> None:
    with made.open("wb") as file, source.open("rb") as layer:
        pack.write(file, document, [pack.SourceDisk(layer.fileno(), source.stat().st_size)], work)


def _restore(reader: pack.Reader, made: Path, work: Work) -> None:
    with made.open("r+b") as file:
        reader.restore([file.fileno()], work)
