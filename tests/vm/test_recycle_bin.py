"""Images, snapshots and volumes that were deleted or archived, and boot and hold every file when they are back."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from tests.home_account import own_account
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(300)]

MIB = 1 << 20
#: More than the time between two sweeps, in which the reconciler removes files that nothing needs.
SWEEP_DEADLINE_S = 90


@pytest.fixture(scope="module")
def rules(host: Host) -> Iterator[None]:
    """Retention rules for everything, for as long as the module runs."""
    rbin: Any = boto3.client("rbin", **own_account(host.home))
    period = {"RetentionPeriodValue": 1, "RetentionPeriodUnit": "DAYS"}
    made = [
        rbin.create_rule(ResourceType=resource_type, RetentionPeriod=period)["Identifier"]
        for resource_type in ("EC2_IMAGE", "EBS_SNAPSHOT", "EBS_VOLUME")
    ]
    yield
    for rule_id in made:
        rbin.delete_rule(Identifier=rule_id)


@pytest.fixture(scope="module")
def guest(host: Host, rules: None) -> Guest:  # noqa: ARG001 - they are to be there
    """An instance whose guest has written 16 MiB whose sums are known."""
    launched = host.launch()
    launched.wait_for_ssh()
    launched.run(
        "mkdir /root/kept; cd /root/kept; for n in $(seq 4); do dd if=/dev/urandom of=$n bs=1M count=4; done;"
        " sha256sum * > /root/sums; sync"
    )
    return launched


@pytest.fixture(scope="module")
def image_id(host: Host, guest: Guest) -> str:
    """An image of the instance, which is gone."""
    image = host.ec2.create_image(InstanceId=guest.instance_id, Name="kept", NoReboot=True)["ImageId"]
    guest.disconnect()
    host.ec2.terminate_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("terminated")
    return image


def snapshot_of(host: Host, image_id: str) -> str:
    (image,) = host.ec2.describe_images(ImageIds=[image_id])["Images"]
    return image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def assert_whole(guest: Guest) -> None:
    guest.wait_for_ssh()
    assert guest.run("cd /root/kept && sha256sum -c /root/sums | grep -c ': OK$'") == "4"


def tier(host: Host, snapshot_id: str) -> str:
    filters: Any = [{"Name": "snapshot-id", "Values": [snapshot_id]}]
    (shown,) = host.ec2.describe_snapshot_tier_status(Filters=filters)["SnapshotTierStatuses"]
    return shown["LastTieringOperationStatus"]


def restart_by_kill(host: Host) -> None:
    host.kill()
    assert host.start()


def test_an_image_that_was_deregistered_boots_with_every_file_when_it_is_back(host: Host, image_id: str) -> None:
    snapshot_id = snapshot_of(host, image_id)
    host.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    restart_by_kill(host)
    assert [it["ImageId"] for it in host.ec2.list_images_in_recycle_bin()["Images"]] == [image_id]

    host.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)
    host.ec2.restore_image_from_recycle_bin(ImageId=image_id)

    assert_whole(host.launch(image_id))


def test_a_volume_that_went_with_its_instance_is_attached_to_another(host: Host, guest: Guest, image_id: str) -> None:
    other = host.launch(image_id)
    shown = host.ec2.list_volumes_in_recycle_bin()["Volumes"]
    volume_id = min(shown, key=lambda it: it["RecycleBinEnterTime"])["VolumeId"]
    assert guest.state() == "terminated"

    host.ec2.restore_volume_from_recycle_bin(VolumeId=volume_id)
    other.wait_for_ssh()
    host.ec2.attach_volume(VolumeId=volume_id, InstanceId=other.instance_id, Device="/dev/sdf")

    serial = volume_id.replace("-", "")
    find = f"grep -l {serial} /sys/block/vd*/serial | cut -d/ -f4"
    wait_for(lambda: bool(other.try_to_run(find).stdout.strip()), "the guest sees the volume")
    device = other.run(find)
    other.run(f"mkdir -p /mnt/old && mount -o ro /dev/{device}2 /mnt/old")  # behind the boot partition
    assert other.run("cd /mnt/old/root/kept && sha256sum -c ../sums | grep -c ': OK$'") == "4"


def test_an_image_whose_snapshot_was_archived_boots_with_every_file_when_it_is_back(
    host: Host, image_id: str, measured: Callable[[str], None]
) -> None:
    snapshot_id = snapshot_of(host, image_id)
    host.ec2.disable_image(ImageId=image_id)
    host.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    wait_for(lambda: tier(host, snapshot_id) == "archival-completed", "it is archived", timeout_s=60)
    pack = host.home / "archive" / f"{snapshot_id}.pack"
    measured(f"an archived root volume of the minimal image and 16 MiB of noise: {pack.stat().st_size / MIB:.1f} MiB")
    restart_by_kill(host)

    host.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)
    wait_for(lambda: tier(host, snapshot_id) == "permanent-restore-completed", "it is restored", timeout_s=60)
    host.ec2.enable_image(ImageId=image_id)

    assert not pack.exists()
    assert_whole(host.launch(image_id))


def crash_at(host: Host, where: str, act: Callable[[], object]) -> None:
    """Start a server that kills itself at a step, do what leads there, and start another one when it is gone."""
    host.kill()
    assert host.start({"BAKEHOUSE_CRASH_AT": where})
    act()
    assert host.server is not None
    host.server.wait_until_gone(60)
    assert host.start()


def test_archiving_and_restoring_killed_at_any_step_go_on(host: Host, image_id: str) -> None:
    snapshot_id = snapshot_of(host, image_id)
    host.ec2.disable_image(ImageId=image_id)
    for archiving, restoring in (("write_archive", "take_out"), ("mark_archived", "mark_restored")):
        crash_at(
            host,
            f"archive_snapshot:{archiving}:after",
            lambda: host.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive"),
        )
        wait_for(lambda: tier(host, snapshot_id) == "archival-completed", "it is archived", timeout_s=60)
        crash_at(
            host,
            f"restore_snapshot:{restoring}:after",
            lambda: host.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True),
        )
        wait_for(lambda: tier(host, snapshot_id) == "permanent-restore-completed", "it is restored", timeout_s=60)
    host.ec2.enable_image(ImageId=image_id)

    assert_whole(host.launch(image_id))


def test_what_is_archived_frees_its_blocks(host: Host, image_id: str) -> None:
    for state in host.states():
        host.guest(state).disconnect()
    host.clear()
    snapshot_id = snapshot_of(host, image_id)
    host.ec2.disable_image(ImageId=image_id)
    before = allocated(host)

    host.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")

    wait_for(
        lambda: allocated(host) < before - 16 * MIB, "a sweep frees the blocks", timeout_s=SWEEP_DEADLINE_S, poll_s=1
    )


def allocated(host: Host) -> int:
    return sum(path.stat().st_blocks * 512 for path in (host.home / "volumes").rglob("*") if path.is_file())
