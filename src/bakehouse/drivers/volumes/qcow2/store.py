"""The volume port, by qcow2 layers in one directory.

Below the root: `layers/`, the files; `volumes/` and `snapshots/`, one manifest each; `incoming/`, imports in
progress. Order of durability: a layer's data, the layer's name, then the manifest that needs it. So a manifest
never names what is not there, and whatever no manifest reaches may go.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from bakehouse.drivers.volumes import sizes
from bakehouse.drivers.volumes.qcow2 import removing, sweeping, tools
from bakehouse.drivers.volumes.qcow2.disk_files import Qcow2DiskFiles
from bakehouse.drivers.volumes.qcow2.growing import Growing
from bakehouse.drivers.volumes.qcow2.intake import Intake, Taken, Wanted
from bakehouse.drivers.volumes.qcow2.layers import QCOW2, RAW
from bakehouse.drivers.volumes.qcow2.live import LiveDisks
from bakehouse.drivers.volumes.qcow2.manifests import SnapshotManifest, VolumeManifest
from bakehouse.drivers.volumes.qcow2.point_in_time import PointInTime
from bakehouse.drivers.volumes.qcow2.reencryption import Reencryption
from bakehouse.drivers.volumes.qcow2.scratch import Scratch
from bakehouse.drivers.volumes.qcow2.sealing import Sealing
from bakehouse.drivers.volumes.qcow2.snapshot_blocks import Qcow2SnapshotBlocks
from bakehouse.drivers.volumes.qcow2.stock import open_stock
from bakehouse.drivers.volumes.qcow2.upkeep import Qcow2Upkeep
from bakehouse.ports.keys import KeyStore
from bakehouse.ports.volumes import (
    FileBelow,
    ImportedDisk,
    LayerKey,
    SweepReport,
    VolumeConnection,
    VolumeInUse,
    VolumeInventory,
)

#: Stays free, so that manifests can be written when guests have filled the disk.
RESERVE_BYTES: Final = 64 << 20

#: What an empty top takes: 196 KiB measured, with 64 KiB clusters (qemu-img's default).
NEW_TOP_BYTES: Final = 256 << 10


class Qcow2VolumeStore:
    """Keeps volumes and snapshots as qcow2 layers below `root`. Fulfils `bakehouse.ports.volumes.VolumeStore`.

    One store at a time may use a root; it remembers what it read there at its start.
    """

    def __init__(
        self,
        root: Path,
        *,
        live: LiveDisks,
        owner: tuple[int, int] | None,
        keys: KeyStore | None = None,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        """Open the store, making its directories where they are missing. Blocks; for the start of a server.

        Args:
            root: Directory of the store. QEMU's user must be able to enter every directory above it.
            live: Moves running machines to new tops.
            owner: User and group ids that QEMU runs as when we are root; None when it runs as we do.
            keys: Encrypts the keys of layers; without it no encrypted layer can be made or opened.
            reserve_bytes: Free space on the disk that no volume is made from.

        Raises:
            RuntimeError: A manifest cannot be read.
        """
        stock = open_stock(root, owner=owner, keys=keys, reserve_bytes=reserve_bytes)
        self._stock = stock
        self._volumes = stock.volumes
        self._snapshots = stock.snapshots
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._opening = stock.opening
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        scratch = Scratch(stock)
        self._intake = Intake(stock, scratch)
        self._reencryption = Reencryption(stock)
        sealing = Sealing(stock, scratch=scratch, reencryption=self._reencryption)
        #: Disks as files, in and out of this store.
        self.files = Qcow2DiskFiles(stock, scratch=scratch, sealing=sealing, adopt=self._adopt)
        #: Blocks of snapshots, read and written one by one.
        self.blocks = Qcow2SnapshotBlocks(stock)
        self._point_in_time = PointInTime(stock, live=live)
        self._growing = Growing(stock, live=live, settle=self._point_in_time)
        #: What the store does for itself in the background.
        self.upkeep = Qcow2Upkeep(stock, live=live)

    async def create(
        self, volume_id: str, *, size_bytes: int, snapshot_id: str | None, key_id: str | None = None
    ) -> None:
        """Make a volume: see the port.

        Raises:
            ValueError: The size is not a positive multiple of 512, or less than the snapshot's. Nothing was made.
            NoSuchSnapshot: Nothing was made.
            StorageFull: Nothing was made.
        """
        async with self._locked([volume_id]):
            if self._volumes.get(volume_id) is not None:
                return
            base = None if snapshot_id is None else self._snapshots.require(snapshot_id)
            sizes.check(size_bytes, at_least=base.size_bytes if base else 0)
            with tools.full_disk_named(), self._pins.hold(base.layer if base else None):
                self._require_space(volumes=1)
                key = await self._opening.key_over(base.layer if base else None, key_id)
                data_key_id = None if key is None else key.id
                top = await self._threads.run(self._layers.new_name, volume_id, QCOW2, data_key_id)
                with self._pins.hold(top, data_key_id):
                    await self._make_volume(volume_id, top, base.layer if base else None, size_bytes, key)

    async def grow(self, volume_id: str, *, size_bytes: int, machine_id: str | None) -> None:
        """Enlarge a volume: see the port, and `growing` for how.

        Raises:
            NoSuchVolume: There is none.
            ValueError: Nothing changed.
            VolumeInUse: Nothing changed.
            StorageFull: Nothing changed.
            Exception: What `LiveDisks` raised. Repeating the call is safe.
        """
        async with self._locked([volume_id]):
            volume = self._volumes.require(volume_id)
            sizes.check(size_bytes, at_least=volume.size_bytes)
            if size_bytes > volume.size_bytes:
                with tools.full_disk_named():
                    await self._growing.grow(volume_id, size_bytes, machine_id)

    async def delete(self, volume_id: str) -> None:
        """Forget a volume: see the port."""
        async with self._locked([volume_id]):
            volume = self._volumes.get(volume_id)
            if volume is None:
                return
            for name in (volume.top, *([volume.pending.from_layer] if volume.pending else [])):
                if await self._threads.run(self._layers.is_held, name):
                    raise VolumeInUse(volume_id)
            await self._volumes.remove(volume_id)

    async def connect(self, volume_id: str) -> VolumeConnection:
        """Return how to open a volume: see the port."""
        volume = self._volumes.require(volume_id)
        file, *below = await self._opening.chain(volume.top)
        return VolumeConnection(
            driver="file",
            path=file.path,
            format=file.format,
            size_bytes=volume.size_bytes,
            key=file.key,
            below=tuple(below),
        )

    async def snapshot(self, snapshots: Mapping[str, str], *, machine_id: str | None) -> None:
        """Take snapshots at one point in time: see the port, and `point_in_time` for how.

        Raises:
            NoSuchVolume: Nothing was taken.
            StorageFull: Nothing was taken.
            VolumeInUse: A process holds a volume that is no volume of this machine. Nothing was taken.
            Exception: What `LiveDisks` raised; no snapshot was recorded, and repeating the call is safe.
        """
        async with self._locked(snapshots):
            with tools.full_disk_named():
                if not all(self._snapshots.get(snapshot_id) for snapshot_id in snapshots.values()):
                    self._require_space(volumes=len(snapshots))
                await self._point_in_time.take(snapshots, machine_id)

    async def copy_snapshot(self, source_id: str, snapshot_id: str, *, key_id: str | None = None) -> None:
        """Make a second manifest over the same layer: see the port. A sweep keeps the layer while either is there.

        With another key the layer is a new one: see `reencryption`.
        """
        async with self._locked({source_id, snapshot_id}):
            if self._snapshots.get(snapshot_id) is not None:
                return
            source = self._snapshots.require(source_id)
            with tools.full_disk_named(), self._pins.hold(source.layer):
                if key_id is None or await self._reencryption.is_wholly(source.layer, key_id):
                    await self._snapshots.save(snapshot_id, source)
                    return
                files = await self._opening.chain(source.layer)
                async with self._reencryption.copy(files, source.size_bytes, snapshot_id, key_id) as layer:
                    copied = SnapshotManifest(layer=layer, size_bytes=source.size_bytes)
                    await self._snapshots.save(snapshot_id, copied)

    async def key_of(self, resource_id: str) -> str | None:
        """Return the key that a volume or snapshot is encrypted with: see the port."""
        if resource_id.startswith("vol-"):
            return self._opening.key_id(self._volumes.require(resource_id).top)
        return self._opening.key_id(self._snapshots.require(resource_id).layer)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot: see the port. Its layer stays for as long as something is above it."""
        async with self._locked([snapshot_id]):
            await self.blocks.cancel(snapshot_id)
            await self._snapshots.remove(snapshot_id)

    async def import_file(
        self,
        snapshot_id: str,
        path: Path,
        *,
        disk: int = 0,
        expected_format: str | None = None,
        key_id: str | None = None,
        progress: Callable[[float], None] | None = None,
        stage: Callable[[str], None] | None = None,
    ) -> ImportedDisk:
        """Inspect a file and take a private copy of a disk in it as a snapshot: see the port, and `intake` for how.

        Raises:
            UnsafeImage: Nothing was made.
            StorageFull: Nothing was made.
            OSError: The file cannot be opened. Nothing was made.
        """
        async with self._locked([snapshot_id]):
            known = self._snapshots.get(snapshot_id)
            if known is None:
                wanted = Wanted(
                    disk=disk,
                    expected_format=expected_format,
                    progress=progress or (lambda _: None),
                    stage=stage or (lambda _: None),
                )
                async with self._intake.take(path, wanted) as taken:
                    known = await self._adopt(snapshot_id, taken, key_id)
            return ImportedDisk(size_bytes=known.size_bytes, source_format=known.source_format or RAW)

    async def inventory(self) -> VolumeInventory:
        """List what has bytes here: see the port."""
        return VolumeInventory(volume_ids=self._volumes.ids(), snapshot_ids=self._snapshots.ids())

    async def sweep(self, *, remove: bool) -> SweepReport:
        """Find files that nothing reaches, remove them if asked to: see the port. Work in progress is left alone."""
        # The order matters. A file that is seen was pinned before it was made; so at the moment of the decision,
        # which nothing can interrupt, it is still pinned, or named by a manifest, or garbage for good: no name
        # is given twice, and a volume is only ever made over a layer that a snapshot names.
        files = await self._threads.run(self._layers.scan)
        incoming = await self._threads.run(lambda: list(self._stock.incoming.iterdir()))
        pinned = self._pins.names()
        layers = sweeping.garbage(files, self.upkeep.roots())
        scratch = [path for path in incoming if path.name not in pinned]
        report = await self._threads.run(removing.remove_garbage, self._layers, layers, scratch, remove=remove)
        if remove:
            left = await self._threads.run(self._layers.scan)
            await self._opening.forget_unused(self._pins.names(), (layer.name for layer in left))
        return report

    async def depth(self, volume_id: str) -> int:
        """Return the length of a volume's chain. Reads are flat to 16, half as fast at 32.

        Raises:
            NoSuchVolume: There is none.
        """
        return await self._threads.run(self._layers.depth, self._volumes.require(volume_id).top)

    async def _make_volume(
        self, volume_id: str, top: str, backing: str | None, size_bytes: int, key: LayerKey | None
    ) -> None:
        try:
            await self._layers.create_top(top, backing=backing, size_bytes=size_bytes, key=key)
            await self._volumes.save(volume_id, VolumeManifest(top=top, size_bytes=size_bytes))
        except Exception:
            await self._threads.run(self._layers.discard, [top])
            raise

    async def _adopt(self, snapshot_id: str, taken: Taken, key_id: str | None = None) -> SnapshotManifest:
        if key_id is not None:
            plain = FileBelow(path=str(taken.path), format=RAW)
            async with self._reencryption.copy((plain,), taken.size_bytes, snapshot_id, key_id) as layer:
                encrypted = SnapshotManifest(
                    layer=layer, size_bytes=taken.size_bytes, source_format=taken.source_format
                )
                await self._snapshots.save(snapshot_id, encrypted)
                return encrypted
        layer = await self._threads.run(self._layers.new_name, snapshot_id, RAW)
        manifest = SnapshotManifest(layer=layer, size_bytes=taken.size_bytes, source_format=taken.source_format)
        with self._pins.hold(layer):
            await self._threads.run(self._layers.adopt, taken.path, layer)
            try:
                await self._snapshots.save(snapshot_id, manifest)
            except Exception:
                await self._threads.run(self._layers.discard, [layer])
                raise
        return manifest

    def _require_space(self, *, volumes: int) -> None:
        needed_bytes = volumes * NEW_TOP_BYTES
        tools.require_space(self._stock.root, needed_bytes=needed_bytes, reserve_bytes=self._stock.reserve_bytes)

    @asynccontextmanager
    async def _locked(self, ids: Iterable[str]) -> AsyncIterator[None]:
        """Hold the locks of these ids, taken in one order everywhere so that no two calls wait for each other."""
        async with AsyncExitStack() as stack:
            for resource_id in sorted(ids):
                lock = self._locks.get(resource_id)
                if lock is None:
                    lock = self._locks[resource_id] = asyncio.Lock()
                await stack.enter_async_context(lock)
            yield
