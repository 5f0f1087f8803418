"""The storage upkeep port, by qcow2 layers: merging, checksums, checking."""

import asyncio
import os
from collections.abc import Callable, Iterable
from typing import Final

from bakehouse.drivers.volumes.qcow2 import run_choice, sweeping
from bakehouse.drivers.volumes.qcow2.checking import Checker
from bakehouse.drivers.volumes.qcow2.checksums import Checksums, LayerSum
from bakehouse.drivers.volumes.qcow2.layers import LayerFile, format_of
from bakehouse.drivers.volumes.qcow2.live import Below, LiveDisks
from bakehouse.drivers.volumes.qcow2.merging import MergeFailed, Merger
from bakehouse.drivers.volumes.qcow2.reading import sum_up
from bakehouse.drivers.volumes.qcow2.run_choice import Layers
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.hypervisor import MonitorLost
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.storage_upkeep import CheckReport, NotFlattened, Room, StorageLayout, Tended, UpkeepStep
from bakehouse.ports.volumes import StorageFull

#: A machine is made to open a chain anew when that makes it shorter by so many layers: each time costs the guest some
#: milliseconds.
_WORTH_REOPENING: Final = 4


class Qcow2Upkeep:
    """Keeps a qcow2 store in order. Fulfils `bakehouse.ports.storage_upkeep.StorageUpkeep`."""

    def __init__(self, stock: Stock, *, live: LiveDisks) -> None:
        self._stock = stock
        self._volumes = stock.volumes
        self._snapshots = stock.snapshots
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._opening = stock.opening
        self._live = live
        self._checksums = Checksums(stock.root / "checksums")
        self._given_up: set[str] = set()
        self._at_work = asyncio.Lock()
        self._merger = Merger(stock, self._checksums)
        self._checker = Checker(stock, self._checksums, roots=self.roots)

    def roots(self) -> set[str]:
        """Return every layer to keep with all below it: named, needed by work in progress, or merged just now."""
        return {*self._stock.named(), *self._pins.names(), *self._merger.lingering}

    async def tend(self) -> UpkeepStep | None:
        """Do one step of background work: see the port."""
        async with self._at_work:
            return await self._reopen_one() or await self._merge_one() or await self._sum_one()

    async def flatten(self, volume_id: str) -> int:
        """Make all layers of a volume one: see the port.

        Raises:
            NoSuchVolume: There is none.
            StorageFull: Nothing changed.
            NotFlattened: Nothing changed.
        """
        async with self._at_work:
            volume = self._volumes.require(volume_id)
            files = await self._threads.run(self._layers.scan)
            run = run_choice.whole(self._layers_now(files), volume.top)
            if run is not None:
                try:
                    await self._merger.merge(run)
                except (MergeFailed, KeyUnavailable) as err:
                    raise NotFlattened(str(err)) from err
            depth = (await self._live.chain_depths()).get(volume_id)
            if depth is not None:
                await self._reopen(volume_id, depth, worth=1)
            return await self._threads.run(self._layers.depth, self._volumes.require(volume_id).top)

    async def room(self) -> Room:
        """Tell how much more fits on the disk: see the port."""
        found = await self._threads.run(os.statvfs, self._layers.directory)
        return Room(free_bytes=found.f_bavail * found.f_frsize, total_bytes=found.f_blocks * found.f_frsize)

    async def layout(self) -> StorageLayout:
        """Tell which layers there are: see the port."""
        files = await self._threads.run(self._layers.scan)
        layers = Layers({file.name: file for file in files}, named=())

        def chain(name: str) -> tuple[str, ...]:
            return tuple(layer.name for layer in layers.chain(name))

        return StorageLayout(
            layers={file.name: file.allocated_bytes for file in files},
            volumes={volume_id: chain(volume.top) for volume_id, volume in self._volumes.items()},
            snapshots={snapshot_id: chain(snapshot.layer) for snapshot_id, snapshot in self._snapshots.items()},
            unneeded={file.name: file.allocated_bytes for file in sweeping.garbage(files, self.roots())},
        )

    async def check(self, *, repair: bool, progress: Callable[[float], None] | None = None) -> CheckReport:
        """Verify every layer and look for files that nothing reaches: see the port."""
        readers = {
            **{v: it.top for v, it in self._volumes.items()},
            **{s: it.layer for s, it in self._snapshots.items()},
        }
        return await self._checker.check(readers, repair=repair, progress=progress or (lambda _: None))

    async def _merge_one(self) -> UpkeepStep | None:
        files = await self._threads.run(self._layers.scan)
        run = await self._threads.run(run_choice.choose, self._layers_now(files))
        if run is None:
            return None
        try:
            await self._merger.merge(run)
        except StorageFull:
            return None  # Until there is room. Long chains are slow; no data depends on it.
        except (MergeFailed, KeyUnavailable) as err:
            self._given_up.update(run.names)
            return UpkeepStep(did=Tended.FAILED, subject=run.upper, detail=str(err))
        return UpkeepStep(
            did=Tended.MERGED, subject=run.upper, detail=f"{len(run.names)} layers, {run.cost_bytes} bytes"
        )

    def _layers_now(self, files: Iterable[LayerFile]) -> Layers:
        fixed = self._stock.tops() | self._given_up
        return Layers({file.name: file for file in files}, named=self._stock.named(), fixed=fixed)

    async def _reopen_one(self) -> UpkeepStep | None:
        """Let a machine go on with a chain that was merged."""
        for volume_id, depth in (await self._live.chain_depths()).items():
            step = await self._reopen(volume_id, depth, worth=_WORTH_REOPENING)
            if step is not None:
                return step
        return None

    async def _reopen(self, volume_id: str, depth: int, *, worth: int) -> UpkeepStep | None:
        """Let a machine that reads a volume through so many files go on with fewer, if that is worth it."""
        volume = self._volumes.get(volume_id)
        if volume is None or volume.pending is not None or volume_id in self._given_up:
            return None
        try:
            on_disk = await self._threads.run(self._layers.depth, volume.top)
            below = await self._threads.run(self._layers.backing_of, volume.top)
        except FileNotFoundError:
            return None  # It was deleted in this moment.
        if below is None or depth - on_disk < worth:
            return None
        top_path, path = self._layers.path(volume.top), self._layers.path(below)
        try:
            wanted = Below(
                volume_id=volume_id,
                top_path=top_path,
                path=path,
                format=format_of(below),
                files=await self._opening.chain(below),
                key=await self._opening.key(volume.top),
            )
            reopened = await self._live.reopen_chain(wanted)
        except MonitorLost:
            return None  # The machine is ending, or will answer another time.
        except Exception as err:  # noqa: BLE001 - whatever it is: the machine reads what it read before
            self._given_up.add(volume_id)
            return UpkeepStep(did=Tended.FAILED, subject=volume_id, detail=str(err))
        if reopened and (await self._live.chain_depths()).get(volume_id, 0) >= depth:
            self._given_up.add(volume_id)  # For a reason that trying again would not change.
        done = UpkeepStep(did=Tended.REOPENED, subject=volume_id, detail=f"{depth} layers, now {on_disk}")
        return done if reopened else None

    async def _sum_one(self) -> UpkeepStep | None:
        """Give the next frozen layer its checksum, and forget those of layers that are gone."""
        files = await self._threads.run(self._layers.scan)
        frozen = {file.name for file in files if file.is_frozen}
        known = await self._threads.run(self._checksums.known)
        await self._threads.run(self._checksums.forget, known - {file.name for file in files})
        for name in sorted(frozen - known - self._given_up):
            return await self._sum(name)
        return None

    async def _sum(self, name: str) -> UpkeepStep:
        try:
            with self._pins.hold(name):
                digest = await sum_up(self._layers.path(name), self._threads)
                await self._threads.run(self._checksums.put, name, LayerSum(blake2b=digest))
        except OSError as err:
            self._given_up.add(name)
            return UpkeepStep(did=Tended.FAILED, subject=name, detail=str(err))
        return UpkeepStep(did=Tended.SUMMED, subject=name)
