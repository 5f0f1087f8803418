"""What the use cases work with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network
from typing import Protocol, TypeVar

from bakehouse.domain.caller import Caller
from bakehouse.domain.capacity import Capacity
from bakehouse.domain.errors import malformed_id, not_found
from bakehouse.domain.ids import is_well_formed
from bakehouse.ports.disk_files import DiskFiles
from bakehouse.ports.host_names import HostNames, NoHostNames
from bakehouse.ports.hypervisor import Hypervisor
from bakehouse.ports.keys import KeyStore
from bakehouse.ports.network import NetworkFabric
from bakehouse.ports.objects import ObjectStore
from bakehouse.ports.snapshot_archive import SnapshotArchive
from bakehouse.ports.volumes import VolumeStore
from bakehouse.sagas.engine import SagaEngine
from bakehouse.sagas.transfers import Transfers
from bakehouse.store.records import Records
from bakehouse.store.store import Store


@dataclass(frozen=True, slots=True)
class AppContext:
    """The records, the sagas that change them, the drivers to ask, and the clock."""

    store: Store
    sagas: SagaEngine
    hypervisor: Hypervisor
    volumes: VolumeStore
    network: NetworkFabric
    now: Callable[[], datetime]
    """Always in UTC."""
    public_pool: IPv4Network
    """Addresses in 127.0.0.0/8 from which instances get public ones."""
    home_region: str
    credentials_key: bytes
    """What temporary credentials are made with and known by: secret, and the same for the life of the home."""
    objects: ObjectStore
    disk_files: DiskFiles
    archive: SnapshotArchive
    keys: KeyStore
    transfers: Transfers
    """How far imports, exports, stores and restores are."""
    capacity: Capacity = Capacity()
    host_names: HostNames = field(default_factory=NoHostNames)


class Owned(Protocol):
    """A record of an account's region."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def account_id(self) -> str: ...  # noqa: D102
    @property
    def region(self) -> str: ...  # noqa: D102


Kept = TypeVar("Kept", bound=Owned)


def owned(records: Records[Kept], caller: Caller, resource_type: str, resource_ids: Iterable[str]) -> list[Kept]:
    """Return the caller's records with these ids, in the order asked for.

    Refuses ids without the form of their type, and those that are missing or another account's or region's: not found.
    """
    found, missing = [], []
    for resource_id in dict.fromkeys(resource_ids):
        if not is_well_formed(resource_id, resource_type):
            raise malformed_id(resource_type, resource_id)
        record = records.get(resource_id)
        if record is None or (record.account_id, record.region) != (caller.account_id, caller.region):
            missing.append(resource_id)
        else:
            found.append(record)
    if missing:
        raise not_found(resource_type, missing)
    return found


def scope(records: Records[Kept], caller: Caller) -> list[Kept]:
    """Return all of the caller's records in the region, oldest first."""
    return list(records.by("scope")[caller.account_id, caller.region].values())
