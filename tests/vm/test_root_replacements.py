"""The root of a running instance gives way to another volume, watched from inside the guest."""

from typing import Any

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def guest(host: Host) -> Guest:
    launched = host.launch()
    launched.wait_for_ssh()
    return launched


def root_of(guest: Guest) -> str:
    (device,) = guest.describe()["BlockDeviceMappings"]
    return device["Ebs"]["VolumeId"]


def replace_root(host: Host, guest: Guest, **members: Any) -> None:
    """Replace the root, and wait until its guest answers again."""
    task = host.ec2.create_replace_root_volume_task(InstanceId=guest.instance_id, **members)["ReplaceRootVolumeTask"]
    task_ids = [task["ReplaceRootVolumeTaskId"]]

    def state() -> str:
        (found,) = host.ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=task_ids)[
            "ReplaceRootVolumeTasks"
        ]
        assert guest.state() == "running"
        assert found["TaskState"] in ("pending", "in-progress", "succeeded")
        return found["TaskState"]

    wait_for(lambda: state() == "succeeded", "the root is replaced", timeout_s=90)
    guest.wait_for_ssh()


def note(guest: Guest) -> str:
    return guest.run("cat /root/note 2>/dev/null || echo none")


def test_a_guest_finds_the_files_of_the_root_that_it_was_given(host: Host, guest: Guest) -> None:
    address = guest.describe()["PrivateIpAddress"]
    first = root_of(guest)
    guest.run("echo first > /root/note; sync")
    snapshot_id = host.ec2.create_snapshot(VolumeId=first)["SnapshotId"]
    guest.run("echo second > /root/note; sync")
    copy_id = host.ec2.copy_volumes(SourceVolumeId=first)["Volumes"][0]["VolumeId"]

    replace_root(host, guest, DeleteReplacedRootVolume=True)
    at_launch = note(guest)
    replace_root(host, guest, SnapshotId=snapshot_id)
    of_snapshot = note(guest)
    replace_root(host, guest, VolumeId=copy_id)
    of_copy = note(guest)

    assert (at_launch, of_snapshot, of_copy) == ("none", "first", "second")
    assert (root_of(guest), guest.describe()["PrivateIpAddress"]) == (copy_id, address)
    assert guest.run("cat /sys/block/vda/serial") == copy_id.replace("-", "")
