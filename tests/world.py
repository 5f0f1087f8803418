"""A whole Bakehouse without a host: the application over fake drivers, and a real database in a folder.

    world = await World.begin(tmp_path)
    image = await world.image()
    (details,) = await world.launch(image_id=image.id)

The drivers stand for the host: they outlive `crash`, which takes the server away in the middle of whatever it does and
starts the next one on what it left.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from socket import socket
from typing import Any, cast

from tests.empty_database import empty_database
from tests.fragile import Fragile
from tests.memory_keys import MemoryKeys
from tests.soundness import assert_archived, assert_sound, assert_transferred

from bakehouse.app.accounts import Accounts
from bakehouse.app.app import App
from bakehouse.app.context import AppContext
from bakehouse.app.instance_details import InstanceDetails
from bakehouse.app.instances import Instances
from bakehouse.app.launch import LaunchRequest
from bakehouse.domain.caller import Caller
from bakehouse.domain.capacity import Capacity
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState
from bakehouse.domain.instance import Instance
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric
from bakehouse.drivers.objects.store import BucketStore
from bakehouse.drivers.volumes.archive import PackedArchive
from bakehouse.drivers.volumes.fake import FakeVolumeStore
from bakehouse.drivers.volumes.fake.disk_files import FakeDiskFiles
from bakehouse.ports.disk_files import DiskFiles
from bakehouse.ports.hypervisor import Hypervisor, MachineState
from bakehouse.ports.network import NetworkFabric
from bakehouse.ports.objects import ObjectStore
from bakehouse.ports.snapshot_archive import SnapshotArchive
from bakehouse.ports.volumes import VolumeStore
from bakehouse.reconcile.reconciler import Reconciler
from bakehouse.sagas.catalogue import SAGAS
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Checkpoint, SagaEngine, no_checkpoint
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.store import Store

GIB = 1024**3
REGION = "us-east-1"


class Crash(BaseException):
    """The server is gone: nothing catches this."""


class FakeMetadataListener:
    """Closes the sockets and remembers for which VPCs it got one."""

    def __init__(self) -> None:
        self.vpc_ids: set[str] = set()

    async def open(self, vpc_id: str, listener: socket) -> None:
        listener.close()
        self.vpc_ids.add(vpc_id)

    async def close(self, vpc_id: str) -> None:
        self.vpc_ids.discard(vpc_id)


class Clock:
    """The time, which stands still unless told otherwise."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 23, 6, 18, 9, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, **how_far: float) -> None:
        self._now += timedelta(**how_far)


@dataclass
class World:
    """One host, one database, one server at a time, one account in one region."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    hypervisor: FakeHypervisor = field(default_factory=FakeHypervisor)
    volumes: FakeVolumeStore = field(default_factory=FakeVolumeStore)
    network: FakeNetworkFabric = field(default_factory=FakeNetworkFabric)
    public_pool: IPv4Network = field(default_factory=lambda: IPv4Network("127.16.0.0/22"))
    stop_deadline_s: float = 5.0
    capacity: Capacity = field(default_factory=Capacity)

    store: Store = field(init=False)
    sagas: SagaEngine = field(init=False)
    saga_context: SagaContext = field(init=False)
    context: AppContext = field(init=False)
    app: App = field(init=False)
    metadata: FakeMetadataListener = field(init=False)
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.fragile_hypervisor = Fragile(self.hypervisor)
        self.fragile_volumes = Fragile(self.volumes)
        self.fragile_network = Fragile(self.network)
        self.objects = BucketStore(buckets=self.folder / "buckets", work=self.folder / "transfers")
        self.disk_files = FakeDiskFiles(self.volumes)
        self.fragile_objects = Fragile(self.objects)
        self.fragile_disk_files = Fragile(self.disk_files)
        self.keys = MemoryKeys()
        self.archive = PackedArchive(self.folder / "archive", self.disk_files)
        self.fragile_archive = Fragile(self.archive)
        self.fragile = {
            name.removeprefix("fragile_"): value for name, value in vars(self).items() if isinstance(value, Fragile)
        }
        self.checkpoint: Checkpoint = no_checkpoint
        self._closed = True

    @classmethod
    async def begin(cls, folder: Path, **options: Any) -> "World":
        """Return a world with an account."""
        world = cls(folder, **options)
        world.database.write_bytes(empty_database())
        world.start_server()
        key = await Accounts(world.context).create("test")
        world.caller = Caller(account_id=key.account_id, region=REGION, access_key_id=key.id)
        return world

    @property
    def database(self) -> Path:
        return self.folder / "state.db"

    def start_server(self) -> None:
        """Start a server on what is in the database and on the host; `reconciler.start` finishes what was begun."""
        self.store = Store(Database(sqlite_url(self.database)))
        self.metadata = FakeMetadataListener()
        hypervisor = cast("Hypervisor", self.fragile_hypervisor)
        volumes = cast("VolumeStore", self.fragile_volumes)
        network = cast("NetworkFabric", self.fragile_network)
        objects = cast("ObjectStore", self.fragile_objects)
        self.saga_context = SagaContext(
            store=self.store,
            hypervisor=hypervisor,
            volumes=volumes,
            network=network,
            metadata=self.metadata,
            now=self.clock,
            objects=objects,
            disk_files=cast("DiskFiles", self.fragile_disk_files),
            archive=cast("SnapshotArchive", self.fragile_archive),
            stop_deadline_s=self.stop_deadline_s,
            terminate_deadline_s=self.stop_deadline_s,
        )
        self.sagas = SagaEngine(self.saga_context, SAGAS, checkpoint=self._pass)
        self.context = AppContext(
            store=self.store,
            sagas=self.sagas,
            hypervisor=hypervisor,
            volumes=volumes,
            network=network,
            now=self.clock,
            public_pool=self.public_pool,
            home_region=REGION,
            credentials_key=b"of tests",
            objects=objects,
            archive=self.saga_context.archive,
            disk_files=self.saga_context.disk_files,
            keys=self.keys,
            transfers=self.saga_context.transfers,
            capacity=self.capacity,
        )
        self.reconciler = Reconciler(self.saga_context, self.sagas)
        self.app = App(self.context)
        self._closed = False

    @property
    def instances(self) -> Instances:
        return self.app.instances

    def _pass(self, name: str) -> None:
        self.checkpoint(name)

    async def stop_server(self) -> None:
        """Let what is under way end, and close the database."""
        for driver in self.fragile.values():
            driver.release()
        await self.sagas.settle()
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.store.close()

    async def restart(self) -> None:
        """Stop the server in order and start another one."""
        await self.stop_server()
        self.start_server()
        await self.reconciler.start()

    def forget_positions(self) -> None:
        """Let the journal lag behind: no saga's position reaches the disk any more."""
        self.store.write_behind = lambda record: None  # type: ignore[method-assign]  # noqa: ARG005

    def delay_positions(self) -> None:
        """Let the journal lag behind by one more step: a saga's position reaches the disk when the next one comes."""
        write = self.store.write_behind
        latest: dict[str, Any] = {}

        def write_late(record: Any) -> None:
            if (before := latest.get(record.id)) is not None:
                write(before)
            latest[record.id] = record

        self.store.write_behind = write_late  # type: ignore[method-assign]

    async def crash(self) -> None:
        """Take the server away in the middle of everything and start another one, which finishes what was begun."""
        for task in list(self.sagas._running.values()):
            task.cancel()
        await self.sagas.settle()
        self.close()
        self.checkpoint = no_checkpoint
        for driver in self.fragile.values():
            driver.heal()
        self.start_server()
        await self.reconciler.start()
        await self.sagas.settle()

    async def image(self, *, size_gib: int = 8, extra_devices: tuple[BlockDevice, ...] = (), **members: Any) -> Image:
        """Return an image with a root volume of this size, and the bytes of its snapshot."""
        snapshot = await self.snapshot(size_gib=size_gib)
        root = BlockDevice(device_name="/dev/xvda", snapshot_id=snapshot.id, size_gib=size_gib)
        image_id = new_id("image")
        given = {
            "account_id": self.caller.account_id,
            "region": self.caller.region,
            "name": image_id,
            "description": "",
            "state": ImageState.AVAILABLE,
            "architecture": "x86_64",
            "root_device_name": "/dev/xvda",
            "block_devices": (root, *extra_devices),
            "created_at": self.clock(),
            **members,
        }
        image = Image(id=image_id, **given)
        async with self.store.transaction() as tx:
            tx.put(image)
        return image

    async def snapshot(self, *, size_gib: int = 1, **members: Any) -> Snapshot:
        """Return a completed snapshot that has bytes."""
        snapshot_id, volume_id = new_id("snapshot"), new_id("volume")
        await self.volumes.create(volume_id, size_bytes=size_gib * GIB, snapshot_id=None)
        await self.volumes.snapshot({volume_id: snapshot_id}, machine_id=None)
        await self.volumes.delete(volume_id)
        given = {
            "account_id": self.caller.account_id,
            "region": self.caller.region,
            "volume_id": "vol-ffffffff",
            "volume_size_gib": size_gib,
            "description": "",
            "state": SnapshotState.COMPLETED,
            "started_at": self.clock(),
            "completed_at": self.clock(),
            **members,
        }
        snapshot = Snapshot(id=snapshot_id, **given)
        async with self.store.transaction() as tx:
            tx.put(snapshot)
        return snapshot

    async def launch(self, image: Image | None = None, *, count: int = 1, **members: Any) -> list[InstanceDetails]:
        """Launch instances and return them as DescribeInstances would next: `running`."""
        image = image or await self.image()
        given: dict[str, Any] = {"image_id": image.id, "min_count": count, "max_count": count, **members}
        launched = await self.instances.run(self.caller, LaunchRequest(**given))
        return self.instances.describe(self.caller, [details.instance.id for details in launched])

    async def running_instance(self, **members: Any) -> str:
        """Launch one instance and return its id."""
        (details,) = await self.launch(**members)
        return details.instance.id

    async def stopped_instance(self, **members: Any) -> str:
        """Launch one instance, stop it, and return its id."""
        instance_id = await self.running_instance(**members)
        await self.instances.stop(self.caller, [instance_id], force=True)
        await self.sagas.settle()
        return instance_id

    def instance(self, instance_id: str) -> Instance:
        return self.store.instances[instance_id]

    async def machines(self) -> Mapping[str, MachineState]:
        """Return the machines that are not gone."""
        statuses = await self.hypervisor.observe()
        return {status.machine_id: status.state for status in statuses if status.state is not MachineState.GONE}

    async def assert_sound(self) -> None:
        """Assert what must hold whenever no saga is under way: records and host agree."""
        await assert_sound(self.store, self.hypervisor, self.volumes, self.network)
        assert_archived(self.store, await self.archive.ids())
        await assert_transferred(self.store, self.objects)


def _ids(records: Iterable[Instance], condition: Callable[[Instance], bool]) -> set[str]:
    return {record.id for record in records if condition(record)}
