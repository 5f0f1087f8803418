"""What a store has below its root: layers, the manifests that name them, the data keys that open them."""

from dataclasses import dataclass
from pathlib import Path

from bakehouse.drivers.volumes.durable import DiskThreads
from bakehouse.drivers.volumes.qcow2.data_keys import NoKeys
from bakehouse.drivers.volumes.qcow2.layers import LayerDirectory, prepare_directory
from bakehouse.drivers.volumes.qcow2.manifests import Manifests, SnapshotManifest, VolumeManifest
from bakehouse.drivers.volumes.qcow2.opening import Opening, open_with
from bakehouse.drivers.volumes.qcow2.pins import Pins
from bakehouse.ports.keys import KeyStore
from bakehouse.ports.volumes import NoSuchSnapshot, NoSuchVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """One store's, shared by all that work on it."""

    root: Path
    owner: tuple[int, int] | None
    """User and group ids that QEMU runs as when we are root; None when it runs as we do."""
    reserve_bytes: int
    """Free space on the disk that no work may take."""
    threads: DiskThreads
    pins: Pins
    layers: LayerDirectory
    opening: Opening
    volumes: Manifests[VolumeManifest]
    snapshots: Manifests[SnapshotManifest]

    @property
    def incoming(self) -> Path:
        """The directory of files that are not finished."""
        return self.root / "incoming"

    def tops(self) -> set[str]:
        """Return every layer that a machine may write to."""
        found: set[str] = set()
        for volume in self.volumes.all():
            found.add(volume.top)
            if volume.pending is not None:
                found.add(volume.pending.from_layer)
        return found

    def named(self) -> set[str]:
        """Return every layer that a manifest names."""
        return {snapshot.layer for snapshot in self.snapshots.all()} | self.tops()


def open_stock(root: Path, *, owner: tuple[int, int] | None, keys: KeyStore | None, reserve_bytes: int) -> Stock:
    """Read what is below a root, making its directories where they are missing. Blocks; for the start of a server.

    What it takes is explained at `Qcow2VolumeStore`.

    Raises:
        RuntimeError: A manifest cannot be read.
    """
    root = root.resolve()
    for name in ("layers", "incoming", "volumes", "snapshots", "checksums", "data-keys"):
        prepare_directory(root / name, owner if name in ("layers", "incoming") else None)
    threads = DiskThreads()
    layers = LayerDirectory(root / "layers", threads, owner=owner)
    stock = Stock(
        root=root,
        owner=owner,
        reserve_bytes=reserve_bytes,
        threads=threads,
        pins=Pins(),
        layers=layers,
        opening=open_with(root / "data-keys", keys or NoKeys(), layers, threads),
        volumes=Manifests(root / "volumes", VolumeManifest, threads, missing=NoSuchVolume),
        snapshots=Manifests(root / "snapshots", SnapshotManifest, threads, missing=NoSuchSnapshot),
    )
    stock.volumes.load()
    stock.snapshots.load()
    return stock
