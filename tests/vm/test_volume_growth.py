"""A volume that grows, as its guest sees it: with its next attachment, for NVMe disks of QEMU cannot be resized."""

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


def attach(host: Host, guest: Guest, volume_id: str) -> None:
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(lambda: size(guest, volume_id) > 0, "the guest sees the volume")


def size(guest: Guest, volume_id: str) -> int:
    """Return a disk's size in bytes as the guest sees it; 0 when it sees none."""
    serial = volume_id.replace("-", "")
    look = f"for d in /sys/block/nvme*; do grep -q {serial} $d/device/serial && cat $d/size; done; true"
    sectors = guest.run(look)
    return int(sectors or 0) * 512


def modification(host: Host, volume_id: str) -> Any:
    return host.ec2.describe_volumes_modifications(VolumeIds=[volume_id])["VolumesModifications"][0]


def test_a_guest_sees_a_larger_volume_with_its_next_attachment(host: Host, guest: Guest) -> None:
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    volume_id = host.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    attach(host, guest, volume_id)
    device = guest.run("ls /dev/nvme1n1")
    guest.run(f"echo kept > {device}; sync")

    host.ec2.modify_volume(VolumeId=volume_id, Size=2)
    while_attached = (size(guest, volume_id), modification(host, volume_id)["ModificationState"])
    host.ec2.detach_volume(VolumeId=volume_id)
    host.ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig={"Delay": 1})
    attach(host, guest, volume_id)

    assert (while_attached, size(guest, volume_id)) == ((GIB, "optimizing"), 2 * GIB)
    assert guest.run("head -n 1 /dev/nvme1n1") == "kept"
    wait_for(lambda: modification(host, volume_id)["ModificationState"] == "completed", "it has ended", timeout_s=60)
