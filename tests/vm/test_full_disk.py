"""The host's disk runs full below a guest that writes: it stands still, says so, and goes on when there is room."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host, running

pytestmark = [
    pytest.mark.vm,
    pytest.mark.one_user,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted, which only root may"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]

SMALL = "300m"
LARGE = "1500m"
WRITTEN_MIB = 400


@pytest.fixture(scope="module", params=["virtio", "nvme"])
def bus(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def host(bus: str) -> Iterator[Host]:
    """A server whose home is on a small disk."""
    del bus  # Each kind of guest begins with an empty one.
    home = Path(tempfile.mkdtemp(prefix="bh-", dir="/var/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=0711", "full", home], check=True)
    made = Host(home)
    running.append(made)
    try:
        assert made.start(), made.server.said() if made.server else ""
        made.make_key_and_group()
        yield made
    finally:
        running.remove(made)
        made.remove()
        subprocess.run(["umount", "-l", home], check=True)
        home.rmdir()


@pytest.fixture(scope="module")
def guest(host: Host, bus: str) -> Guest:
    launched = host.launch(host.image_by_nvme() if bus == "nvme" else None)
    launched.wait_for_ssh()
    zone = launched.describe()["Placement"]["AvailabilityZone"]
    volume_id = host.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    host.ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig={"Delay": 1})
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=launched.instance_id, Device="/dev/sdf")
    wait_for(lambda: launched.try_to_run("test -b /dev/nvme1n1").returncode == 0, "the guest sees the volume")
    return launched


def status(host: Host, guest: Guest) -> dict[str, Any]:
    (found,) = host.ec2.describe_instance_status(InstanceIds=[guest.instance_id])["InstanceStatuses"]
    return dict(found)


def test_a_guest_that_fills_the_hosts_disk_loses_nothing(host: Host, guest: Guest, bus: str) -> None:
    letters = f"dd if=/dev/zero bs=1M count={WRITTEN_MIB} | tr '\\0' b"
    command = f"{letters} | dd of=/dev/nvme1n1 bs=1M iflag=fullblock conv=fsync"
    wrote: list[subprocess.CompletedProcess[str]] = []
    writing = threading.Thread(target=lambda: wrote.append(guest.try_to_run(command, timeout_s=240)))
    writing.start()
    wait_for(lambda: status(host, guest)["InstanceStatus"]["Status"] == "impaired", "it is impaired", timeout_s=60)
    impaired = status(host, guest)
    room = os.statvfs(host.home).f_bavail

    subprocess.run(["mount", "-o", f"remount,size={LARGE}", host.home], check=True)
    wait_for(lambda: status(host, guest)["InstanceStatus"]["Status"] == "ok", "it is well again", timeout_s=60)
    writing.join()

    assert impaired["AttachedEbsStatus"]["Status"] == "impaired"
    # A virtio disk waits when there is no room at all; an NVMe disk would fail, so its guest is stopped before.
    assert bus == "virtio" or room > 0
    assert wrote[0].returncode == 0, wrote[0].stderr
    read = guest.run(f"echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/nvme1n1 bs=1M count={WRITTEN_MIB} | md5sum")
    wanted = hashlib.md5(b"b" * (WRITTEN_MIB << 20), usedforsecurity=False).hexdigest()
    assert read.split()[0] == wanted
    assert "error" not in guest.run("dmesg | grep -i 'i/o error' || true")


def test_what_is_stored_is_whole_afterwards(host: Host) -> None:
    assert host.bakehouse("storage", "check").returncode == 0


def test_what_the_guest_discards_is_given_back_to_the_host(host: Host, guest: Guest) -> None:
    before = os.statvfs(host.home).f_bavail

    guest.run("blkdiscard -f /dev/nvme1n1 || blkdiscard /dev/nvme1n1")

    freed = (os.statvfs(host.home).f_bavail - before) * os.statvfs(host.home).f_frsize
    assert freed > (WRITTEN_MIB - 20) << 20
