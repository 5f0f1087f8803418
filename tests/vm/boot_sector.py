"""Disks with a guest of one sector, which boots in a quarter of a second and obeys letters. See boot_sector.s."""

import asyncio
import subprocess
from pathlib import Path

from bakehouse.drivers.hypervisor.qemu.run_directory import CONSOLE_SOCKET, RunDirectory
from bakehouse.ports.hypervisor import Hypervisor, MachineDisk, MachineSpec
from bakehouse.ports.volumes import VolumeConnection

DISK_BYTES = 1 << 20
SECTOR_BYTES = 512
COUNTED_SECTORS = 64
BOOT_DEADLINE_S = 30

SECTOR = (
    bytes.fromhex(
        "ea057c000031c08ed88ec08ed0bc007cba0206b80001efb04be87a00ba0006edf6c4017578bafd03"
        "eca801b000741dbaf803ece860003c6f74683c70746d3c7274713c697506ba020631c0ef3c777504"
        "fe06c07cf606c07c017504fbf4ebbd66ff06bc7c66a1bc7c66a3007e6683e03f4066a3cc7cb280e8"
        "1300b281e80e00f606bc7c3f7596b02ee80b00eb8fbec47cb80043cd13c352baf803ee5ac3b042e8"
        "f4ffba0406b80020efeb0eba0505b001eeeb06baf90cb006eef4ebfd000000000000000010000100"
        "007e"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)


def bootable_disk(directory: Path, volume_id: str) -> MachineDisk:
    """Make a qcow2 disk over a raw one, as a volume over an image is, that holds the guest."""
    raw = directory / f"{volume_id}.raw"
    raw.write_bytes(SECTOR.ljust(DISK_BYTES, b"\0"))
    path = directory / f"{volume_id}.qcow2"
    make_overlay(path, raw, "raw")
    return machine_disk(volume_id, path)


def empty_disk(directory: Path, volume_id: str) -> MachineDisk:
    path = directory / f"{volume_id}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(DISK_BYTES)], check=True)
    return machine_disk(volume_id, path)


def make_overlay(path: Path, backing: Path, backing_format: str, size_bytes: int = DISK_BYTES) -> None:
    """Make an empty file over another without opening that, which a guest may be writing."""
    over = ["-u", "-b", str(backing), "-F", backing_format]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *over, str(path), str(size_bytes)], check=True)


def machine_disk(volume_id: str, path: Path) -> MachineDisk:
    connection = VolumeConnection(driver="file", path=str(path), format="qcow2", size_bytes=DISK_BYTES)
    return MachineDisk(volume_id=volume_id, connection=connection)


def machine_spec(machine_id: str, *disks: MachineDisk) -> MachineSpec:
    return MachineSpec(
        machine_id=machine_id,
        instance_type="t3.nano",
        architecture="x86_64",
        vcpus=1,
        memory_mib=32,
        disks=disks,
        interfaces=(),
        hardware_uuid="ec2a1b2c-0000-4000-8000-0123456789ab",
    )


async def console_shows(hypervisor: Hypervisor, machine_id: str, text: bytes) -> None:
    async with asyncio.timeout(BOOT_DEADLINE_S):
        while text not in await hypervisor.console_output(machine_id):  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.005)


async def tell(home: Path, machine_id: str, letter: bytes) -> None:
    """Type a letter on the serial console."""
    with await RunDirectory(home / "machines" / machine_id).connect(CONSOLE_SOCKET) as console:
        await asyncio.get_running_loop().sock_sendall(console, letter)


def counters(path: Path, scratch: Path) -> list[int]:
    """Return the counters that the guest wrote to a disk that it does not write any more, in sector order."""
    plain = scratch / "counters.raw"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", path, plain], check=True)
    data = plain.read_bytes()
    sectors = range(SECTOR_BYTES, SECTOR_BYTES * (COUNTED_SECTORS + 1), SECTOR_BYTES)
    return [int.from_bytes(data[at : at + 4], "little") for at in sectors]
