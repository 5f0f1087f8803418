"""The disk file port, over the layers of a qcow2 volume store."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

from bakehouse.drivers.long_work import Work, in_thread
from bakehouse.drivers.volumes import inspection, pack, sizes
from bakehouse.drivers.volumes.qcow2 import conversion, sealing, tools
from bakehouse.drivers.volumes.qcow2.conversion import Progress
from bakehouse.drivers.volumes.qcow2.intake import Taken
from bakehouse.drivers.volumes.qcow2.layers import RAW, data_key_of, format_of
from bakehouse.drivers.volumes.qcow2.manifests import SnapshotManifest
from bakehouse.drivers.volumes.qcow2.scratch import Scratch
from bakehouse.drivers.volumes.qcow2.sealing import Sealing
from bakehouse.drivers.volumes.qcow2.stock import Stock
from bakehouse.ports.disk_files import ExaminedFile, ExportFormat, NotAPack, PackContents
from bakehouse.ports.volumes import StorageFull, UnsafeImage

#: How qemu-img is told to write each format. A stream-optimised VMDK is what ExportImage makes (EC2 API Reference,
#: DiskImageFormat). `force_size`: a VHD's geometry would round the size of the disk up.
_WRITTEN: Final[Mapping[ExportFormat, tuple[str, ...]]] = {
    ExportFormat.QCOW2: ("-O", "qcow2", "-c", "-o", "compression_type=zstd"),
    ExportFormat.RAW: ("-O", "raw"),
    ExportFormat.VHD: ("-O", "vpc", "-o", "subformat=dynamic,force_size=on"),
    ExportFormat.VMDK: ("-O", "vmdk", "-o", "subformat=streamOptimized"),
}

#: How much of packing is reading a disk's layers into one file. Measured with 800 MiB of data: 0.7 s and 5 s.
_PLAIN_SHARE: Final = 0.15


class Qcow2DiskFiles:
    """Reads and writes disks as files. Fulfils `bakehouse.ports.disk_files.DiskFiles`."""

    def __init__(
        self,
        stock: Stock,
        *,
        scratch: Scratch,
        sealing: Sealing,
        adopt: Callable[[str, Taken], Awaitable[object]],
    ) -> None:
        """Work on a store's stock; `adopt` makes a snapshot of a finished raw file."""
        self._snapshots = stock.snapshots
        self._layers = stock.layers
        self._pins = stock.pins
        self._threads = stock.threads
        self._owner = stock.owner
        self._scratch = scratch
        self._sealing = sealing
        self._adopt = adopt

    async def examine(self, path: Path, *, expected_format: str | None = None) -> ExaminedFile:
        """Find out what a file holds: see the port."""
        return await self._threads.run(inspection.examine, path, expected_format)

    async def export(
        self, snapshot_id: str, path: Path, *, file_format: ExportFormat, progress: Progress | None = None
    ) -> int:
        """Write a snapshot's disk as a file: see the port."""
        snapshot = self._snapshots.require(snapshot_id)
        sizes.check_exportable(snapshot.size_bytes, file_format)
        with tools.full_disk_named(), self._pins.hold(snapshot.layer):
            async with self._scratch.file() as made:
                await self._convert(snapshot, file_format, made, progress or (lambda _: None))
                return await self._scratch.deliver(made, path)

    async def pack(
        self,
        path: Path,
        document: Mapping[str, Any],
        snapshot_ids: Sequence[str],
        *,
        progress: Progress | None = None,
    ) -> int:
        """Write snapshots' disks and a document into one file: see the port, and `pack` for the format."""
        snapshots = [self._snapshots.require(snapshot_id) for snapshot_id in snapshot_ids]
        tell = progress or (lambda _: None)
        with tools.full_disk_named(), self._pins.hold(*(snapshot.layer for snapshot in snapshots)):
            async with AsyncExitStack() as stack:
                plain = []
                for number, snapshot in enumerate(snapshots):
                    begin = _PLAIN_SHARE * number / len(snapshots)
                    plain.append(
                        await self._plain(snapshot, stack, _part(tell, begin, begin + _PLAIN_SHARE / len(snapshots)))
                    )
                made = await stack.enter_async_context(self._scratch.file())
                disks = [(path, snapshot.size_bytes) for path, snapshot in zip(plain, snapshots, strict=True)]
                await in_thread(lambda work: _write_pack(made, document, disks, work), _part(tell, _PLAIN_SHARE, 1))
                return await self._scratch.deliver(made, path)

    async def contents(self, path: Path) -> PackContents:
        """Read what a packed image says about itself: see the port."""

        def read() -> PackContents:
            with _opened(path) as file:
                return pack.Reader(file).contents

        return await self._threads.run(read)

    async def verify(self, path: Path, *, progress: Progress | None = None) -> None:
        """Read a packed image to its end: see the port."""
        with _opened(path) as file:
            reader = await self._threads.run(pack.Reader, file)
            nothing: list[int | None] = [None] * len(reader.data_bytes)
            await in_thread(lambda work: reader.restore(nothing, work), progress)

    async def unpack(self, path: Path, snapshot_ids: Sequence[str], *, progress: Progress | None = None) -> None:
        """Make snapshots of a packed image's disks: see the port."""
        wanted = {snapshot_id for snapshot_id in snapshot_ids if self._snapshots.get(snapshot_id) is None}
        if not wanted:
            if progress is not None:
                progress(1.0)
            return
        with tools.full_disk_named(), _opened(path) as file:
            reader = await self._threads.run(pack.Reader, file)
            disk_sizes = reader.contents.disk_sizes_bytes
            if len(snapshot_ids) != len(disk_sizes):
                raise ValueError(f"{len(snapshot_ids)} ids for {len(disk_sizes)} disks")
            self._scratch.require_space(sum(reader.data_bytes))
            async with AsyncExitStack() as stack:
                made: list[Path | None] = []
                for snapshot_id, size_bytes in zip(snapshot_ids, disk_sizes, strict=True):
                    target = await stack.enter_async_context(self._scratch.file()) if snapshot_id in wanted else None
                    if target is not None:
                        await self._make_room(target, size_bytes)
                    made.append(target)
                await in_thread(lambda work: _restore(reader, made, work), progress)
                await self._adopt_all(
                    {
                        snapshot_id: Taken(path=target, size_bytes=size_bytes, source_format=RAW)
                        for snapshot_id, target, size_bytes in zip(snapshot_ids, made, disk_sizes, strict=True)
                        if target is not None
                    }
                )

    async def archive(self, path: Path, snapshot_id: str, *, progress: Progress | None = None) -> int:
        """Write a snapshot as the archive keeps it: see the port, and `sealing` for those that are encrypted."""
        snapshot = self._snapshots.require(snapshot_id)
        if data_key_of(snapshot.layer) is None:
            return await self.pack(path, {"snapshot_id": snapshot_id}, [snapshot_id], progress=progress)
        return await self._sealing.seal(path, snapshot_id, snapshot, progress or (lambda _: None))

    async def unarchive(self, path: Path, snapshot_id: str, *, progress: Progress | None = None) -> None:
        """Make a snapshot of what `archive` wrote: see the port."""
        if sealing.MEMBER in (await self.contents(path)).document:
            await self._sealing.unseal(path, snapshot_id, progress or (lambda _: None))
        else:
            await self.unpack(path, [snapshot_id], progress=progress)

    async def _plain(self, snapshot: SnapshotManifest, stack: AsyncExitStack, progress: Progress) -> Path:
        """Return a raw file of a snapshot's disk: its layer, or a copy that is gone when the stack is left."""
        layer = self._layers.path(snapshot.layer)
        if format_of(snapshot.layer) == RAW:
            return layer
        made = await stack.enter_async_context(self._scratch.file())
        await self._convert(snapshot, ExportFormat.RAW, made, progress)
        return made

    async def _convert(
        self, snapshot: SnapshotManifest, file_format: ExportFormat, made: Path, progress: Progress
    ) -> None:
        layer, layer_format = self._layers.path(snapshot.layer), format_of(snapshot.layer)
        try:
            needed_bytes = await conversion.required_bytes(
                "-f", layer_format, layer, owner=self._owner, names=[str(layer)]
            )
        except UnsafeImage as err:
            raise RuntimeError(f"the layer {snapshot.layer} cannot be read") from err
        self._scratch.require_space(needed_bytes)
        done = await tools.confined_qemu_img(
            *("convert", "-p", "-f", layer_format, *_WRITTEN[file_format], str(layer), str(made)),
            owner=self._owner,
            cpu_s=conversion.cpu_limit_s(needed_bytes),
            on_line=conversion.percent_to(progress),
        )
        if done.returncode != 0:
            # QEMU 7.2 says `Invalid argument` when a VMDK does not fit.
            if tools.says_no_space(done.text) or self._scratch.is_full():
                raise StorageFull("the disk is full")
            raise RuntimeError(f"{snapshot.layer} cannot be written as {file_format}: {tools.last_line(done)}")

    async def _make_room(self, target: Path, size_bytes: int) -> None:
        try:
            await self._scratch.make_room(target, length=size_bytes, needed_bytes=0)
        except UnsafeImage as err:
            raise NotAPack(str(err)) from err

    async def _adopt_all(self, taken: Mapping[str, Taken]) -> None:
        """Make snapshots of all files, or of none."""
        done = []
        try:
            for snapshot_id, disk in taken.items():
                await self._adopt(snapshot_id, disk)
                done.append(snapshot_id)
        except BaseException:
            for snapshot_id in done:
                await self._snapshots.remove(snapshot_id)
            raise


def _write_pack(made: Path, document: Mapping[str, Any], disks: Sequence[tuple[Path, int]], work: Work) -> None:
    with ExitStack() as stack:
        file = stack.enter_context(made.open("wb"))
        sources = [
            pack.SourceDisk(stack.enter_context(path.open("rb")).fileno(), size_bytes) for path, size_bytes in disks
        ]
        pack.write(file, document, sources, work)


def _restore(reader: pack.Reader, targets: Sequence[Path | None], work: Work) -> None:
    with ExitStack() as stack:
        reader.restore(
            [None if path is None else stack.enter_context(path.open("r+b")).fileno() for path in targets], work
        )


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(inspection.open_regular(path), "rb")


def _part(progress: Progress, begin: float, end: float) -> Progress:
    return lambda fraction: progress(begin + (end - begin) * fraction)
