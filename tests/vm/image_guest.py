"""Boots a disk image by hand, with the devices that Bakehouse gives its machines but none of its drivers.

The network is slirp, closed to the outside, with the metadata service as a program that answers one request; so a
test needs no namespace, no privilege and no server.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from qemu.qmp import ConnectError, QMPClient

from bakehouse.drivers import process

METADATA = Path(__file__).with_name("metadata_once.py")
MAC = "02:00:ac:1f:05:0a"
ADDRESS = "172.31.5.10"


@dataclass
class Guest:
    """A running machine. Times are seconds since QEMU was started."""

    folder: Path
    key: Path
    user: str
    port: int
    started: float
    pid: int
    qmp: QMPClient = field(default_factory=lambda: QMPClient("image-guest"))

    @property
    def console(self) -> str:
        file = self.folder / "console"
        return file.read_text(errors="replace") if file.exists() else ""

    async def ssh(self, command: str, *, user: str = "", timeout_s: float = 60) -> str:
        done = await process.run(self._ssh(command, user or self.user), timeout_s=timeout_s)
        return done.text

    async def has(self, path: str, *, timeout_s: float) -> None:
        """Wait for a file of the guest."""
        async with asyncio.timeout(timeout_s):
            while True:
                if "yes" in await self.ssh(f"[ -e {path} ] && echo yes || echo no"):
                    return
                await asyncio.sleep(0.2)

    async def ssh_answers(self, *, timeout_s: float) -> float:
        """Wait for the first ssh command that works; return when that was.

        Patience doubles with each try. slirp takes a connection before the guest does, so a try must be short
        while nobody listens; but each try costs an emulated sshd a process, and more of them than it can greet
        in that time keep it busy for ever.
        """
        patience_s = 0.25
        async with asyncio.timeout(timeout_s):
            while True:
                patience_s = min(2 * patience_s, 20)
                if await self._greets(patience_s):
                    done = await process.run(self._ssh("true", self.user), check=False)
                    if done.returncode == 0:
                        return time.monotonic() - self.started
                await asyncio.sleep(0.1)

    async def console_shows(self, text: str, *, timeout_s: float) -> float:
        async with asyncio.timeout(timeout_s):
            while True:
                if text in self.console:
                    return time.monotonic() - self.started
                await asyncio.sleep(0.02)

    async def power_button(self, *, timeout_s: float) -> float:
        """Press it; return how long the guest took to switch off."""
        pressed = time.monotonic()
        born = process.start_time(self.pid)
        assert born is not None
        await self.qmp.execute("system_powerdown")
        assert await process.wait_until_gone(self.pid, born, timeout_s=timeout_s), "the guest did not switch off"
        return time.monotonic() - pressed

    async def connect_monitor(self) -> None:
        """Connect once QEMU listens; its socket has a name a moment before."""
        while True:
            with suppress(ConnectError):
                await self.qmp.connect(str(self.folder / "qmp"))
                return
            assert process.start_time(self.pid), (self.folder / "qemu.log").read_text()
            await asyncio.sleep(0.01)

    def _ssh(self, command: str, user: str) -> list[str]:
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "IdentitiesOnly": "yes",
        }
        words = [f"-o{name}={value}" for name, value in options.items()]
        return ["ssh", "-i", str(self.key), "-p", str(self.port), *words, f"{user}@127.0.0.1", command]

    async def _greets(self, patience_s: float) -> bool:
        """Tell whether sshd sends its banner."""
        try:
            async with asyncio.timeout(patience_s):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    return (await reader.read(4)).startswith(b"SSH-")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


async def make_key(folder: Path) -> Path:
    key = folder / "key"
    await process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", key])
    return key


async def overlay(base: Path, disk: Path, size: str) -> Path:
    await process.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", disk, size])
    return disk


def metadata(instance_id: str, key: Path, user_data: str) -> dict[str, str]:
    name = f"ip-{instance_id.replace('-', '')}.ec2.internal"
    nic = f"meta-data/network/interfaces/macs/{MAC}"
    tree = {
        "meta-data/ami-id": "ami-0123456789abcdef0",
        "meta-data/ami-launch-index": "0",
        "meta-data/instance-id": instance_id,
        "meta-data/instance-type": "t3.micro",
        "meta-data/hostname": name,
        "meta-data/local-hostname": name,
        "meta-data/local-ipv4": ADDRESS,
        "meta-data/mac": MAC,
        "meta-data/block-device-mapping/ami": "xvda",
        "meta-data/block-device-mapping/root": "/dev/xvda",
        "meta-data/placement/availability-zone": "us-east-1a",
        "meta-data/placement/region": "us-east-1",
        "meta-data/public-keys": "0=test",
        "meta-data/public-keys/0": "openssh-key",
        "meta-data/public-keys/0/openssh-key": key.with_suffix(".pub").read_text().strip(),
        "meta-data/security-groups": "default",
        f"{nic}/device-number": "0",
        f"{nic}/interface-id": "eni-0123456789abcdef0",
        f"{nic}/local-ipv4s": ADDRESS,
        f"{nic}/mac": MAC,
        f"{nic}/subnet-ipv4-cidr-block": "172.31.0.0/20",
        f"{nic}/vpc-ipv4-cidr-block": "172.31.0.0/16",
        "dynamic/instance-identity/document": json.dumps({"instanceId": instance_id, "region": "us-east-1"}),
    }
    return tree | ({"user-data": user_data} if user_data else {})


@asynccontextmanager
async def booted(
    folder: Path,
    disk: Path,
    key: Path,
    *,
    user: str,
    instance_id: str = "i-0123456789abcdef0",
    user_data: str = "",
    memory_mib: int = 128,
    extra: tuple[str, ...] = (),
) -> AsyncIterator[Guest]:
    """Run a machine from a qcow2 disk; it is killed at the end if it still runs."""
    tree = _write_metadata(folder, metadata(instance_id, key, user_data))
    port = _free_port()
    argv = _command(folder, disk, f"{sys.executable} -I -S {METADATA} {tree}", port, instance_id, memory_mib)
    started = time.monotonic()
    pid = await process.spawn_detached([*argv, *extra], log=folder / "qemu.log")
    guest = Guest(folder, key, user, port, started, pid)
    try:
        async with asyncio.timeout(20):
            await guest.connect_monitor()
        yield guest
    finally:
        if born := process.start_time(pid):
            os.kill(pid, signal.SIGKILL)
            await process.wait_until_gone(pid, born, timeout_s=10)
        with suppress(EOFError):
            await guest.qmp.disconnect()


def _write_metadata(folder: Path, tree: dict[str, str]) -> Path:
    folder.mkdir()
    file = folder / "metadata.json"
    file.write_text(json.dumps(tree))
    return file


def _command(folder: Path, disk: Path, imds: str, port: int, instance_id: str, memory_mib: int) -> list[str]:
    machine = "ec2" + str(uuid.uuid4())[3:]
    slirp = {
        "restrict": "on",
        "net": "160.0.0.0/4",
        "host": "172.31.0.1",
        "dns": "172.31.0.2",
        "dhcpstart": ADDRESS,
        "hostfwd": f"tcp:127.0.0.1:{port}-{ADDRESS}:22",
        "guestfwd": f"tcp:169.254.169.254:80-cmd:{imds}",
    }
    node = "cache.no-flush=on,discard=unmap"
    return [
        "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "qemu64,+rdrand",
        "-m", str(memory_mib), "-nodefaults", "-display", "none",
        "-serial", f"file:{folder}/console",
        "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
        "-smbios", "type=0,vendor=Amazon EC2,version=1.0",
        "-smbios", f"type=1,manufacturer=Amazon EC2,product=t3.micro,serial={machine},uuid={machine}",
        "-smbios", f"type=2,manufacturer=Amazon EC2,asset={instance_id}",
        "-smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2",
        "-blockdev", f"driver=file,node-name=root-file,filename={disk},{node}",
        "-blockdev", f"driver=qcow2,node-name=root,file=root-file,{node}",
        "-device", "nvme,serial=vol0123456789abcdef0,drive=root,bootindex=1",
        "-device", "pcie-root-port,id=port1,chassis=1,slot=1",
        "-netdev", "user,id=net0," + ",".join(f"{name}={value}" for name, value in slirp.items()),
        "-device", f"virtio-net-pci,netdev=net0,mac={MAC},romfile=",
        "-device", "virtio-rng-pci",
    ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
