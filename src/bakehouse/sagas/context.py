"""What the steps of a saga work with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

from bakehouse.ports.disk_files import DiskFiles
from bakehouse.ports.hypervisor import Hypervisor
from bakehouse.ports.metadata import MetadataListener
from bakehouse.ports.network import NetworkFabric
from bakehouse.ports.objects import ObjectStore
from bakehouse.ports.snapshot_archive import SnapshotArchive
from bakehouse.ports.volumes import VolumeStore
from bakehouse.sagas.transfers import Transfers
from bakehouse.store.store import Store


@dataclass(frozen=True, slots=True)
class SagaContext:
    """The records, the drivers and the clock."""

    store: Store
    hypervisor: Hypervisor
    volumes: VolumeStore
    network: NetworkFabric
    metadata: MetadataListener
    now: Callable[[], datetime]
    """Always in UTC."""
    objects: ObjectStore
    disk_files: DiskFiles
    archive: SnapshotArchive
    transfers: Transfers = field(default_factory=Transfers)
    """Imports, exports, stores and restores at work."""
    segments: set[str] = field(default_factory=set)
    """VPCs whose segments this server has made sure of."""
    segment_turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """VPCs whose segments are being made: launches side by side share the work."""
    volume_turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """Volumes whose files are being opened, sealed or removed (`sagas/volumes.py`)."""
    stop_deadline_s: float = 60.0
    """How long StopInstances and RebootInstances give a guest to shut down before its machine is made to."""
    terminate_deadline_s: float = 20.0
    """The same for TerminateInstances: shorter, since most of what the guest would save goes with its volumes."""
