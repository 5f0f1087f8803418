"""What the steps of a saga work with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bakehouse.ports.hypervisor import Hypervisor
from bakehouse.ports.metadata import MetadataListener
from bakehouse.ports.network import NetworkFabric
from bakehouse.ports.volumes import VolumeStore
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
    segments: set[str] = field(default_factory=set)
    """VPCs whose segments this server has made sure of."""
