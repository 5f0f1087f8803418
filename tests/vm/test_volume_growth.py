"""A volume that grows while a guest uses it: what the guest sees of it, and when."""

from typing import Any

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.slow, pytest.mark.timeout(240)]

GIB = 1 << 30


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    launched = host.launch()
    launched.wait_for_ssh()
    return launched


@pytest.fixture(scope="module")
def volume_id(host: Host, guest: Guest) -> str:
    """A volume with a file system that is mounted, with a file in it."""
    made = attached(host, guest)
    guest.run(
        "/sbin/mke2fs -q -t ext4 /dev/nvme1n1 && mkdir -p /data && mount /dev/nvme1n1 /data && echo kept > /data/file"
    )
    return made


def attached(host: Host, guest: Guest) -> str:
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    made = host.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    host.ec2.attach_volume(VolumeId=made, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(lambda: size(guest, made) > 0, "the guest sees the volume")
    return made


def size(guest: Guest, volume_id: str) -> int:
    """Return a disk's size in bytes as the guest sees it; 0 when it sees none."""
    serial = volume_id.replace("-", "")
    look = (
        f"for d in /sys/block/*; do cat $d/serial $d/device/serial 2>&1 | grep -q {serial} && cat $d/size; done; true"
    )
    return int(guest.run(look) or 0) * 512


def mounted_mib(guest: Guest, folder: str) -> int:
    return int(guest.run(f"df -m {folder} | awk 'NR == 2 {{ print $2 }}'"))


def modification(host: Host, volume_id: str) -> Any:
    return host.ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"][0]


def ended(host: Host, volume_id: str) -> None:
    wait_for(lambda: modification(host, volume_id)["ModificationState"] == "completed", "it has ended", timeout_s=30)


def test_a_guest_sees_its_volume_grow_and_grows_the_mounted_file_system(
    host: Host, guest: Guest, volume_id: str
) -> None:
    before = size(guest, volume_id), mounted_mib(guest, "/data")

    host.ec2.modify_volume(VolumeId=volume_id, Size=3)
    ended(host, volume_id)
    seen = size(guest, volume_id), int(guest.run("blockdev --getsize64 /dev/nvme1n1"))
    guest.run("/sbin/resize2fs /dev/nvme1n1")

    assert (before[0], seen) == (GIB, (3 * GIB, 3 * GIB))
    assert mounted_mib(guest, "/data") > 2 * before[1]
    assert guest.run("cat /data/file") == "kept"


def test_a_guest_grows_its_root_while_it_runs(host: Host, guest: Guest) -> None:
    (root,) = (it for it in guest.describe()["BlockDeviceMappings"] if it["DeviceName"] == "/dev/xvda")
    boots = guest.run("cat /proc/sys/kernel/random/boot_id")

    host.ec2.modify_volume(VolumeId=root["Ebs"]["VolumeId"], Size=4)
    ended(host, root["Ebs"]["VolumeId"])
    guest.run("grow-root")

    assert mounted_mib(guest, "/") > 3900
    assert guest.run("cat /proc/sys/kernel/random/boot_id") == boots


@pytest.mark.long
def test_a_guest_of_nvme_disks_sees_a_larger_volume_with_its_next_attachment(host: Host) -> None:
    guest = host.launch(host.image_by_nvme())
    guest.wait_for_ssh()
    volume_id = attached(host, guest)
    guest.run("echo kept > /dev/nvme1n1; sync")

    host.ec2.modify_volume(VolumeId=volume_id, Size=2)
    while_attached = (size(guest, volume_id), modification(host, volume_id)["ModificationState"])
    host.ec2.detach_volume(VolumeId=volume_id)
    host.ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig={"Delay": 1})
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(lambda: size(guest, volume_id) > 0, "the guest sees the volume")

    assert (while_attached, size(guest, volume_id)) == ((GIB, "optimizing"), 2 * GIB)
    assert guest.run("head -n 1 /dev/nvme1n1") == "kept"
    ended(host, volume_id)
