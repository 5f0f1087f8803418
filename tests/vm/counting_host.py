"""A store and a hypervisor together, with a guest of one sector that counts on two disks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.memory_keys import MemoryKeys
from tests.vm import boot_sector
from tests.vm.boot_sector import DISK_BYTES, SECTOR, counters, machine_spec

from bakehouse.drivers.hypervisor.qemu import QemuHypervisor
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.drivers.process import UnixUser
from bakehouse.drivers.volumes.qcow2 import Qcow2VolumeStore
from bakehouse.ports.hypervisor import DiskBus, MachineDisk, MachineSpec

MACHINE = "i-0000000000000000a"
CLONE = "i-0000000000000000b"
ROOT = "vol-0000000000000000a"
DATA = "vol-0000000000000000b"
KEY = "00000000-0000-4000-8000-000000000001"
SNAPSHOTS = {ROOT: "snap-0000000000000000a", DATA: "snap-0000000000000000b"}


@dataclass
class Host:
    """A store and a hypervisor, with a guest that counts on two disks."""

    directory: Path
    hypervisor: QemuHypervisor
    store: Qcow2VolumeStore
    bus: DiskBus = DiskBus.NVME
    keys: MemoryKeys | None = None
    """Of a host whose disks are encrypted."""

    async def path(self, volume_id: str) -> Path:
        return Path((await self.store.connect(volume_id)).path)

    async def spec(self, machine_id: str, *volume_ids: str) -> MachineSpec:
        disks = [MachineDisk(volume_id=v, connection=await self.store.connect(v), bus=self.bus) for v in volume_ids]
        return machine_spec(machine_id, *disks)

    async def begin(self) -> None:
        image = self.directory / "guest.img"
        image.write_bytes(SECTOR.ljust(DISK_BYTES, b"\0"))
        await self.store.import_file("snap-0", image)
        key_id = None
        if self.keys is not None:
            key_id = KEY
            await self.keys.create(KEY)
            await self.store.copy_snapshot("snap-0", "snap-1", key_id=key_id)
            await self.store.delete_snapshot("snap-0")
            await self.store.sweep(remove=True)
            image.unlink()
        image_id = "snap-0" if self.keys is None else "snap-1"
        await self.store.create(ROOT, size_bytes=DISK_BYTES, snapshot_id=image_id, key_id=key_id)
        await self.store.create(DATA, size_bytes=DISK_BYTES, snapshot_id=None, key_id=key_id)
        await self.hypervisor.start(await self.spec(MACHINE, ROOT, DATA))
        await boot_sector.console_shows(self.hypervisor, MACHINE, b"K")
        await boot_sector.tell(self.directory / "home", MACHINE, b"w")
        await self.written_anew()

    async def written_anew(self) -> None:
        """Wait until the guest has written every sector once more. Not read from its files: QEMU writes those late."""
        rounds = (await self.hypervisor.console_output(MACHINE)).count(b".")
        await boot_sector.console_shows(self.hypervisor, MACHINE, b"." * (rounds + 2))

    def open_files(self, machine_id: str) -> list[str]:
        """Return the layers that a machine's process has open, as the kernel names them."""
        found = RunDirectory(self.directory / "home" / "machines" / machine_id).running_process()
        assert found is not None
        links = [str(link.readlink()) for link in Path(f"/proc/{found.pid}/fd").iterdir()]
        return sorted(name for name in links if "/layers/" in name)

    async def restart(self) -> None:
        """Let go of the machines, and begin anew as the next server does."""
        await self.hypervisor.close()
        self.hypervisor = QemuHypervisor(self.directory / "home", accelerator="tcg", flush=False)
        self.store = Qcow2VolumeStore(self.directory / "home" / "volumes", live=self.hypervisor, owner=None)
        await self.hypervisor.observe()

    async def snapshot_counters(self) -> tuple[list[int], list[int]]:
        read = []
        for number, snapshot_id in enumerate(SNAPSHOTS.values()):
            probe_id = f"vol-{number}"
            await self.store.create(probe_id, size_bytes=DISK_BYTES, snapshot_id=snapshot_id)
            read.append(counters(await self.path(probe_id), self.directory))
        return read[0], read[1]


@asynccontextmanager
async def counting_host(
    directory: Path,
    owner: tuple[int, int] | None,
    *,
    bus: DiskBus = DiskBus.NVME,
    keys: MemoryKeys | None = None,
) -> AsyncIterator[Host]:
    user = None if owner is None else UnixUser(*owner)
    hypervisor = QemuHypervisor(directory / "home", accelerator="tcg", user=user, flush=False)
    store = Qcow2VolumeStore(directory / "home" / "volumes", live=hypervisor, owner=owner, keys=keys)
    host = Host(directory, hypervisor, store, bus, keys)
    try:
        await host.begin()
        yield host
    finally:
        await host.hypervisor.kill(MACHINE)
        await host.hypervisor.kill(CLONE)
        await host.hypervisor.close()
