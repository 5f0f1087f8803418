"""Disks that come and go while Linux runs: the minimal image with a shell on its console instead of its init."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.vm.boot_sector import console_shows, empty_disk, machine_disk, machine_spec, make_overlay

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import QemuHypervisor
from bakehouse.drivers.hypervisor.qemu.run_directory import CONSOLE_SOCKET, RunDirectory
from bakehouse.drivers.images.builder import build
from bakehouse.drivers.images.packages import PackagesUnavailable
from bakehouse.drivers.images.sources import NoPackageSources

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]

MACHINE = "i-0000000000000000a"
ROOT = "vol-0000000000000000a"
DATA = "vol-0000000000000000b"
LATER = "vol-0000000000000000c"
DEADLINE_S = 30

#: Images are kept between runs; baking one takes seconds, fetching its packages may take minutes.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bakehouse-tests"

BOOT_OPTION = b"quiet net.ifnames=0"


class Shell:
    """Root's shell on the guest's console. Its output is read on, or QEMU would hold it back."""

    def __init__(self, console: socket.socket) -> None:
        self._console = console
        self._output = b""
        self._more = asyncio.Event()
        self._commands = 0
        self._reader = asyncio.create_task(self._read())

    async def run(self, command: str) -> str:
        """Run a command and return what it wrote."""
        self._commands += 1
        # Quoted in the middle, so that the echo of the command is not taken for the end of its output.
        end = f"end-of-{self._commands}"
        begin = len(self._output)
        typed = f'{command}; echo "end"-of-{self._commands}\n'
        await asyncio.get_running_loop().sock_sendall(self._console, typed.encode())
        async with asyncio.timeout(DEADLINE_S):
            while end.encode() not in self._output[begin:]:
                self._more.clear()
                await self._more.wait()
        return self._output[begin:].decode(errors="replace")

    async def disks(self) -> set[str]:
        """Return the serial numbers of all disks."""
        words = (await self.run("cat /sys/block/nvme*/device/serial")).split()
        return {word for word in words if word.startswith("vol")}

    async def disks_become(self, wanted: set[str]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.disks() != wanted:  # noqa: ASYNC110 - only the guest knows
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._console.close()

    async def _read(self) -> None:
        while chunk := await asyncio.get_running_loop().sock_recv(self._console, 65536):
            self._output += chunk
            self._more.set()


@pytest.fixture
async def root_disk(tmp_path: Path) -> Path:
    """Make a disk over the minimal image, with a shell in place of its init."""
    try:
        image = await build("minimal", cache=CACHE)
    except (PackagesUnavailable, NoPackageSources, process.ProcessFailed) as err:
        pytest.skip(f"the minimal image cannot be baked here: {err}")
    content = image.path.read_bytes()
    assert BOOT_OPTION in content
    raw = tmp_path / "root.raw"
    raw.write_bytes(content.replace(BOOT_OPTION, b"init=/bin/sh".ljust(len(BOOT_OPTION))))
    disk = tmp_path / "root.qcow2"
    make_overlay(disk, raw, "raw", image.size_bytes)
    return disk


@pytest.fixture
async def hypervisor(tmp_path: Path) -> AsyncIterator[QemuHypervisor]:
    made = QemuHypervisor(tmp_path / "home", accelerator="tcg", flush=False)
    yield made
    await made.kill(MACHINE)
    await made.close()


@pytest.fixture
async def shell(hypervisor: QemuHypervisor, tmp_path: Path, root_disk: Path) -> AsyncIterator[Shell]:
    """Boot a guest that has a data disk too."""
    spec = machine_spec(MACHINE, machine_disk(ROOT, root_disk), empty_disk(tmp_path, DATA))
    await hypervisor.start(replace(spec, memory_mib=128))
    await console_shows(hypervisor, MACHINE, b"# ")
    made = Shell(await RunDirectory(tmp_path / "home" / "machines" / MACHINE).connect(CONSOLE_SOCKET))
    await made.run("mount -t sysfs sysfs /sys")
    yield made
    await made.close()


async def test_a_guest_sees_its_volumes_by_their_ids(shell: Shell) -> None:
    assert await shell.disks() == {"vol0000000000000000a", "vol0000000000000000b"}


async def test_a_guest_sees_a_disk_that_is_attached(hypervisor: QemuHypervisor, shell: Shell, tmp_path: Path) -> None:
    await hypervisor.attach_disk(MACHINE, empty_disk(tmp_path, LATER))

    await shell.disks_become({"vol0000000000000000a", "vol0000000000000000b", "vol0000000000000000c"})


async def test_a_guest_lets_go_of_a_disk_that_was_attached(
    hypervisor: QemuHypervisor, shell: Shell, tmp_path: Path
) -> None:
    await hypervisor.attach_disk(MACHINE, empty_disk(tmp_path, LATER))
    await shell.disks_become({"vol0000000000000000a", "vol0000000000000000b", "vol0000000000000000c"})

    await hypervisor.detach_disk(MACHINE, LATER, force=False)

    await shell.disks_become({"vol0000000000000000a", "vol0000000000000000b"})


async def test_a_guest_lets_go_of_a_disk_that_it_booted_with(hypervisor: QemuHypervisor, shell: Shell) -> None:
    await hypervisor.detach_disk(MACHINE, DATA, force=False)

    await shell.disks_become({"vol0000000000000000a"})
    assert set(await hypervisor.active_tops(MACHINE)) == {ROOT}


async def test_the_guest_finds_the_strings_of_ec2(shell: Shell) -> None:
    answer = await shell.run("cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/board_asset_tag")

    assert "Amazon EC2" in answer
    assert MACHINE in answer
