"""Builds both images and boots them by hand: what an image promises its machines, without Bakehouse around it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vm import image_guest
from tests.vm.image_guest import Guest, booted

from bakehouse.drivers import process
from bakehouse.drivers.images import builder, host, minimal
from bakehouse.drivers.images.architecture import ARCHITECTURES
from bakehouse.drivers.images.recipe import BuiltImage, RecipeName

#: Images are kept between runs: the first run of all builds them.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bakehouse-tests"

#: Generous: the machine may be emulated, on a busy host.
MINIMAL_S, DEBIAN_S = 90, 400

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = """#!/bin/sh
echo "user data of $(hostname)"
echo x >> /root/times-run
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


async def built(recipe: RecipeName) -> BuiltImage:
    return await builder.build(recipe, cache=CACHE)


async def copied_live(guest: Guest, disk: Path, copy: Path) -> Path:
    """Copy the disk of a running machine as a snapshot of it would be: at one moment, its filesystem in use.

    QEMU stands still meanwhile, and has written what it kept in memory of the file's own tables.
    """
    await guest.qmp.execute("stop")
    await process.run(["cp", "--sparse=always", disk, copy])
    await guest.qmp.execute("cont")
    return copy


async def test_minimal_keeps_its_promises(folder: Path) -> None:
    image = await built(RecipeName.MINIMAL)
    key = await image_guest.make_key(folder)
    disk = await image_guest.overlay(image.path, folder / "disk", "8G")

    async with booted(folder / "vm", disk, key, user=image.default_user, user_data=SCRIPT) as guest:
        await guest.ssh_answers(timeout_s=MINIMAL_S)
        await guest.console_shows("ec2-init: user-data done", timeout_s=MINIMAL_S)
        facts = await guest.ssh("hostname; df -m / | awk 'END { print ($2 > 7900) }'; sudo cat /root/times-run")
        assert facts.split() == ["ip-i0123456789abcdef0", "1", "x"]
        assert await guest.ssh("cat /var/log/cloud-init-output.log") == "user data of ip-i0123456789abcdef0\n"
        assert "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n256 SHA256:" in guest.console.replace("\r", "")
        await guest.power_button(timeout_s=MINIMAL_S)

    assert image.size_bytes <= 64 << 20
    await assert_clean(disk, folder)


async def test_minimal_does_nothing_twice_for_one_instance(folder: Path) -> None:
    image = await built(RecipeName.MINIMAL)
    key = await image_guest.make_key(folder)
    disk = await image_guest.overlay(image.path, folder / "disk", "1G")
    seen = []

    for boot in ("first", "second"):
        async with booted(folder / boot, disk, key, user="root", user_data=SCRIPT) as guest:
            await guest.ssh_answers(timeout_s=MINIMAL_S)
            if boot == "first":
                await guest.console_shows("ec2-init: user-data done", timeout_s=MINIMAL_S)
            await guest.console_shows("login:", timeout_s=MINIMAL_S)
            seen.append(await guest.ssh("cat /root/times-run; dropbearkey -y -f /etc/dropbear/*ed25519*"))
            await guest.power_button(timeout_s=MINIMAL_S)

    assert seen[0] == seen[1]
    assert seen[0].startswith("x\nPublic key")


async def test_a_live_copy_of_minimal_wakes_up_as_another_instance(folder: Path) -> None:
    image = await built(RecipeName.MINIMAL)
    key = await image_guest.make_key(folder)
    disk = await image_guest.overlay(image.path, folder / "disk", "1G")
    identity = "hostname; dropbearkey -y -f /etc/dropbear/*ed25519* | grep ^ssh; wc -l < /root/times-run"

    async with booted(folder / "one", disk, key, user="root", user_data=SCRIPT) as guest:
        await guest.console_shows("ec2-init: user-data done", timeout_s=MINIMAL_S)
        await guest.ssh_answers(timeout_s=MINIMAL_S)
        first = await guest.ssh(f"echo kept > /root/kept; sync; {identity}")
        copy = await copied_live(guest, disk, folder / "copy")
    async with booted(folder / "two", copy, key, user="root", user_data=SCRIPT, instance_id="i-0bbb") as guest:
        await guest.console_shows("ec2-init: user-data done", timeout_s=MINIMAL_S)
        await guest.ssh_answers(timeout_s=MINIMAL_S)
        second = await guest.ssh(identity)
        assert await guest.ssh("cat /root/kept") == "kept\n"

    assert second.split("\n")[0] == "ip-i0bbb"
    assert second.split("\n")[1] != first.split("\n")[1]
    assert (first.split("\n")[2], second.split("\n")[2]) == ("1", "2")


async def test_minimal_sees_a_disk_that_is_plugged_in(folder: Path) -> None:
    image = await built(RecipeName.MINIMAL)
    key = await image_guest.make_key(folder)
    disk = await image_guest.overlay(image.path, folder / "disk", "1G")
    extra = folder / "extra"
    await process.run(["truncate", "-s", "64M", extra])

    async with booted(folder / "vm", disk, key, user="root") as guest:
        await guest.ssh_answers(timeout_s=MINIMAL_S)
        await guest.qmp.execute(
            "blockdev-add", {"driver": "raw", "node-name": "extra", "file": {"driver": "file", "filename": str(extra)}}
        )
        await guest.qmp.execute(
            "device_add", {"driver": "nvme", "id": "extra", "bus": "port1", "serial": "vol0aaa", "drive": "extra"}
        )
        await guest.has("/dev/nvme1n1", timeout_s=MINIMAL_S)
        told = await guest.ssh(
            "cat /sys/block/nvme1n1/device/serial;"
            "/sbin/mke2fs -q /dev/nvme1n1 && mount /dev/nvme1n1 /mnt && echo mounted"
        )

    assert told.split() == ["vol0aaa", "mounted"]


async def test_minimal_says_that_it_knows_no_cloud_config(folder: Path) -> None:
    image = await built(RecipeName.MINIMAL)
    key = await image_guest.make_key(folder)
    disk = await image_guest.overlay(image.path, folder / "disk", "1G")

    async with booted(folder / "vm", disk, key, user="root", user_data="#cloud-config\n{}\n") as guest:
        await guest.console_shows("this image knows no #cloud-config", timeout_s=MINIMAL_S)


@pytest.mark.long
async def test_debian_12_keeps_its_promises_and_a_live_copy_is_another_instance(folder: Path) -> None:
    image = await built(RecipeName.DEBIAN_12)
    key = await image_guest.make_key(folder)
    disk = await image_guest.overlay(image.path, folder / "disk", "8G")
    identity = "hostname; cat /etc/machine-id; cat /etc/ssh/ssh_host_ed25519_key.pub; sudo grep -c x /root/times-run"

    async with booted(folder / "one", disk, key, user=image.default_user, user_data=SCRIPT, memory_mib=512) as guest:
        await guest.ssh_answers(timeout_s=DEBIAN_S)
        await guest.console_shows("finished at", timeout_s=DEBIAN_S)
        assert "status: done" in await guest.ssh("cloud-init status", timeout_s=DEBIAN_S)
        assert (await guest.ssh("cloud-id; df -m / | awk 'END { print ($2 > 7900) }'")).split() == ["aws", "1"]
        assert await guest.ssh("systemctl --failed --no-legend") == ""
        assert "BEGIN SSH HOST KEY FINGERPRINTS" in guest.console
        first = await guest.ssh(f"sync; {identity}", timeout_s=DEBIAN_S)
        copy = await copied_live(guest, disk, folder / "copy")
        await guest.power_button(timeout_s=DEBIAN_S)
    async with booted(
        folder / "two", copy, key, user=image.default_user, user_data=SCRIPT, memory_mib=512, instance_id="i-0bbb"
    ) as guest:
        await guest.ssh_answers(timeout_s=DEBIAN_S)
        await guest.console_shows("finished at", timeout_s=DEBIAN_S)
        second = await guest.ssh(identity, timeout_s=DEBIAN_S)

    assert second.split("\n")[0] == "ip-i0bbb"
    assert not set(first.split("\n")[:3]) & set(second.split("\n")[:3])
    assert (first.split("\n")[3], second.split("\n")[3]) == ("1", "2")


async def assert_clean(disk: Path, folder: Path) -> None:
    """Check the file system of a minimal machine that was switched off: unmounted, nothing to repair."""
    raw = folder / "raw"
    await process.run(["qemu-img", "convert", "-O", "raw", disk, raw])
    root = f"{raw}?offset={minimal.root_partition(ARCHITECTURES['x86_64']).offset}"
    state = await process.run(["dumpe2fs", "-h", root], env=host.environment())
    assert "needs_recovery" not in state.text
    await process.run(["e2fsck", "-f", "-n", root], env=host.environment())
