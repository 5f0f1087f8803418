"""A guest with systemd and an agent: its filesystems are frozen for an image, and it sleeps and wakes up."""

import time
from typing import Any

import pytest
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

#: An emulated guest boots in a minute, beside others in several.
BOOT_S = 600
COMMAND_S = 180
BANNER_S = 20
#: The guest's tolerance, and some for the host.
CLOCK_ERROR_S = 3

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.one_user, pytest.mark.timeout(1500)]

SLEEPY: Any = {
    "HibernationOptions": {"Configured": True},
    "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}}],
}
AS_ROOT = "#cloud-config\ndisable_root: false\n"
BOOTED = " finished at "
AGENT_RUNS = "systemctl is-active qemu-guest-agent"
FREEZES = "journalctl --identifier=qemu-ga --output=cat | grep -c 'guest-fsfreeze called' || true"
COUNT = "setsid sh -c 'while :; do n=$((n + 1)); echo $n > /run/count; sleep 0.1; done' > /dev/null 2>&1 < /dev/null &"
#: ext4 takes it away when it is frozen, as when it is unmounted.
IN_USE = "needs_recovery"


@pytest.fixture(scope="module")
def debian(host: Host) -> Guest:
    launched = host.launch(host.image("debian-12"), InstanceType="t2.micro", UserData=AS_ROOT, **SLEEPY)
    launched.wait_for_console(BOOTED, timeout_s=BOOT_S)
    launched.wait_for_ssh(timeout_s=BOOT_S, banner_s=BANNER_S)
    return launched


def features(host: Host, guest: Guest, snapshot_id: str) -> str:
    """Return the features of the root file system in a snapshot, as a guest sees them that does not mount it."""
    zone = guest.describe()["Placement"]["AvailabilityZone"]
    volume_id = host.ec2.create_volume(AvailabilityZone=zone, SnapshotId=snapshot_id)["VolumeId"]
    disk = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume_id.replace('-', '')}"
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=guest.instance_id, Device="/dev/sdf")
    wait_for(
        lambda: guest.try_to_run(f"test -b $(readlink -f {disk})3", timeout_s=COMMAND_S).returncode == 0,
        "the guest sees the volume",
        timeout_s=COMMAND_S,
    )
    told = guest.run(f"dumpe2fs -h $(readlink -f {disk})3 2> /dev/null | grep features", timeout_s=COMMAND_S)
    host.ec2.detach_volume(VolumeId=volume_id, InstanceId=guest.instance_id)
    wait_for(
        lambda: host.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"] == "available",
        "the volume is free",
        timeout_s=COMMAND_S,
    )
    return told


def test_the_agent_runs(debian: Guest) -> None:
    wait_for(
        lambda: debian.try_to_run(AGENT_RUNS, timeout_s=COMMAND_S).stdout.strip() == "active",
        "the agent runs",
        timeout_s=COMMAND_S,
    )


def test_an_image_without_reboot_is_of_frozen_filesystems(host: Host, debian: Guest) -> None:
    before = int(debian.run(FREEZES, timeout_s=COMMAND_S))

    image_id = host.ec2.create_image(InstanceId=debian.instance_id, Name="frozen", NoReboot=True)["ImageId"]

    assert int(debian.run(FREEZES, timeout_s=COMMAND_S)) == before + 1
    (root,) = host.ec2.describe_images(ImageIds=[image_id])["Images"][0]["BlockDeviceMappings"]
    assert IN_USE not in features(host, debian, root["Ebs"]["SnapshotId"])
    # It was thawed: it writes on.
    assert debian.run("echo written > /root/file; sync; cat /root/file", timeout_s=COMMAND_S) == "written"


def test_a_snapshot_is_as_after_a_power_cut(host: Host, debian: Guest) -> None:
    (root,) = debian.describe()["BlockDeviceMappings"]

    snapshot_id = host.ec2.create_snapshot(VolumeId=root["Ebs"]["VolumeId"])["SnapshotId"]

    host.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
    assert IN_USE in features(host, debian, snapshot_id)


def test_it_goes_on_where_it_was_and_its_clock_is_right(host: Host, debian: Guest) -> None:
    debian.run(COUNT, timeout_s=COMMAND_S)
    boot_id = debian.run("cat /proc/sys/kernel/random/boot_id", timeout_s=COMMAND_S)
    wait_for(lambda: count(debian) > 0, "the program runs", timeout_s=COMMAND_S)
    counted = count(debian)

    debian.disconnect()
    host.ec2.stop_instances(InstanceIds=[debian.instance_id], Hibernate=True)
    debian.wait_for_state("stopped", timeout_s=COMMAND_S)
    time.sleep(5)  # So that a clock that stood still is seen.
    host.ec2.start_instances(InstanceIds=[debian.instance_id])
    debian.wait_for_ssh(timeout_s=BOOT_S, banner_s=BANNER_S)

    assert debian.run("cat /proc/sys/kernel/random/boot_id", timeout_s=COMMAND_S) == boot_id
    wait_for(lambda: count(debian) > counted + 5, "the program goes on", timeout_s=COMMAND_S)
    wait_for(lambda: clock_error_s(debian) < CLOCK_ERROR_S, "the clock is right", timeout_s=COMMAND_S)


def count(guest: Guest) -> int:
    return int(guest.run("cat /run/count 2> /dev/null || true", timeout_s=COMMAND_S) or "0")


def clock_error_s(guest: Guest) -> float:
    """Return how far the guest's clock is off, at least: the command itself takes a while."""
    begin = time.time()
    told = int(guest.run("date +%s", timeout_s=COMMAND_S))
    return max(begin - told - 1, told - time.time(), 0)
