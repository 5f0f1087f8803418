"""The drivers of a server: the only place that chooses them."""

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bakehouse.drivers.hypervisor.fake.driver import FakeHypervisor
from bakehouse.drivers.hypervisor.qemu.driver import QemuHypervisor
from bakehouse.drivers.keys.directory import KeyDirectory
from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric
from bakehouse.drivers.network.linux.host_names import LinuxHostNames
from bakehouse.drivers.objects import open_store
from bakehouse.drivers.process import UnixUser
from bakehouse.drivers.volumes.fake.disk_files import FakeDiskFiles
from bakehouse.drivers.volumes.fake.store import FakeVolumeStore
from bakehouse.drivers.volumes.qcow2.store import Qcow2VolumeStore
from bakehouse.ports.disk_files import DiskFiles
from bakehouse.ports.host_names import HostNames, NoHostNames
from bakehouse.ports.hypervisor import Hypervisor
from bakehouse.ports.keys import KeyStore
from bakehouse.ports.network import NetworkFabric
from bakehouse.ports.objects import ObjectStore
from bakehouse.ports.volumes import VolumeStore
from bakehouse.settings import Settings

#: As root, QEMU runs as the first of these users that exists.
_MACHINE_USERS: Final = ("bakehouse", "nobody")


@dataclass(frozen=True, slots=True)
class Drivers:
    """One driver for each port."""

    hypervisor: Hypervisor
    volumes: VolumeStore
    network: NetworkFabric
    objects: ObjectStore
    disk_files: DiskFiles
    keys: KeyStore
    names: HostNames = field(default_factory=NoHostNames)


def make_drivers(home: Path, settings: Settings) -> Drivers:
    """Choose the drivers: real ones, or fakes that remember their machines in the home."""
    objects = open_store(
        buckets=Path(settings.bucket_folder or home / "buckets"),
        work=home / "transfers",
        s3=(settings.s3_endpoint, settings.region, settings.s3_profile),
        fetch_from_this_host=settings.fetch_from_this_host,
    )
    keys = KeyDirectory(Path(settings.key_folder or home / "volume-keys"))
    if settings.simulate:
        simulated = home / "simulated"
        simulated.mkdir(exist_ok=True)
        simulated_volumes = FakeVolumeStore(simulated / "volumes.json", keys=keys)
        return Drivers(
            FakeHypervisor(simulated),
            simulated_volumes,
            FakeNetworkFabric(),
            objects,
            FakeDiskFiles(simulated_volumes),
            keys,
        )
    user = machine_user()
    hypervisor = QemuHypervisor(home, accelerator=settings.accelerator, user=user)
    owner = None if user is None else (user.uid, user.gid)
    volumes = Qcow2VolumeStore(home / "volumes", live=hypervisor, owner=owner, keys=keys)
    network = LinuxNetworkFabric(home, mode=settings.network)
    return Drivers(hypervisor, volumes, network, objects, volumes.files, keys, _names(home, settings))


def _names(home: Path, settings: Settings) -> HostNames:
    place = settings.name_server_place
    if place is None:
        return NoHostNames()
    return LinuxHostNames(*place, log=home / "names.log", unprivileged=os.geteuid() == 0)


def machine_user() -> UnixUser | None:
    """Return whom machines run as when the server is root; None when it is not.

    The group that owns /dev/kvm is among them, so that acceleration survives the change of user.
    """
    if os.geteuid() != 0:
        return None
    for name in _MACHINE_USERS:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            kvm = Path("/dev/kvm")
            groups = (kvm.stat().st_gid,) if kvm.exists() and kvm.stat().st_gid != 0 else ()
            return UnixUser(user.pw_uid, user.pw_gid, groups)
    return None
