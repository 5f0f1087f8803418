"""The disk file port, over the layers of a qcow2 volume store."""

from pathlib import Path
from typing import Final

from bakehouse.drivers.volumes import inspection
from bakehouse.drivers.volumes.durable import DiskThreads
from bakehouse.drivers.volumes.qcow2 import conversion, tools
from bakehouse.drivers.volumes.qcow2.conversion import Progress
from bakehouse.drivers.volumes.qcow2.layers import LayerDirectory, format_of
from bakehouse.drivers.volumes.qcow2.manifests import Manifests, SnapshotManifest
from bakehouse.drivers.volumes.qcow2.pins import Pins
from bakehouse.drivers.volumes.qcow2.scratch import Scratch
from bakehouse.ports.disk_files import CannotExport, ExaminedFile, ExportFormat
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull, UnsafeImage

#: How qemu-img is told to write each format. A stream-optimised VMDK is what ExportImage makes (EC2 API Reference,
#: DiskImageFormat). `force_size`: a VHD's geometry would round the size of the disk up.
_WRITTEN: Final = {
    ExportFormat.QCOW2: ("-O", "qcow2", "-c", "-o", "compression_type=zstd"),
    ExportFormat.RAW: ("-O", "raw"),
    ExportFormat.VHD: ("-O", "vpc", "-o", "subformat=dynamic,force_size=on"),
    ExportFormat.VMDK: ("-O", "vmdk", "-o", "subformat=streamOptimized"),
}

#: The largest disk in each format. Source: Microsoft, "Virtual Hard Disk Image Format Specification": 2040 GiB.
_LARGEST_BYTES: Final = {ExportFormat.VHD: 2040 << 30}


class Qcow2DiskFiles:
    """Reads and writes disks as files. Fulfils `bakehouse.ports.disk_files.DiskFiles`."""

    def __init__(
        self,
        *,
        snapshots: Manifests[SnapshotManifest],
        layers: LayerDirectory,
        pins: Pins,
        threads: DiskThreads,
        scratch: Scratch,
        owner: tuple[int, int] | None,
    ) -> None:
        self._snapshots = snapshots
        self._layers = layers
        self._pins = pins
        self._threads = threads
        self._scratch = scratch
        self._owner = owner

    async def examine(self, path: Path) -> ExaminedFile:
        """Find out what a file holds: see the port."""
        return await self._threads.run(inspection.examine, path)

    async def export(
        self, snapshot_id: str, path: Path, *, file_format: ExportFormat, progress: Progress | None = None
    ) -> int:
        """Write a snapshot's disk as a file: see the port."""
        snapshot = self._snapshot(snapshot_id)
        largest = _LARGEST_BYTES.get(file_format)
        if largest is not None and snapshot.size_bytes > largest:
            raise CannotExport(
                f"a disk of {snapshot.size_bytes >> 30} GiB does not fit into a file of format {file_format}, "
                f"which holds {largest >> 30} GiB at most"
            )
        with tools.full_disk_named(), self._pins.hold(snapshot.layer):
            layer = self._layers.path(snapshot.layer)
            layer_format = format_of(snapshot.layer)
            try:
                needed_bytes = await conversion.required_bytes(
                    "-f", layer_format, layer, owner=self._owner, name=str(layer)
                )
            except UnsafeImage as err:
                raise RuntimeError(f"the layer of {snapshot_id} cannot be read") from err
            self._scratch.require_space(needed_bytes)
            async with self._scratch.file() as made:
                done = await tools.confined_qemu_img(
                    *("convert", "-p", "-f", layer_format, *_WRITTEN[file_format], layer, made),
                    owner=self._owner,
                    cpu_s=conversion.cpu_limit_s(needed_bytes),
                    on_line=conversion.percent_to(progress or (lambda _: None)),
                )
                if done.returncode != 0:
                    if tools.says_no_space(done.text):
                        raise StorageFull("the disk is full")
                    raise RuntimeError(f"{snapshot_id} cannot be written as {file_format}: {tools.last_line(done)}")
                return await self._scratch.deliver(made, path)

    def _snapshot(self, snapshot_id: str) -> SnapshotManifest:
        snapshot = self._snapshots.get(snapshot_id)
        if snapshot is None:
            raise NoSuchSnapshot(snapshot_id)
        return snapshot
