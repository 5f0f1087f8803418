"""Disks from outside that become snapshots: ImportSnapshot, its description and its end."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.transfers import DISK_BYTES, Bucket, ended_snapshot_import, transfers_wait

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def begun(ec2: "EC2Client", bucket: Bucket, **members: Any) -> str:
    """Begin an import of an empty raw disk and return the task's id."""
    container: Any = {"UserBucket": {"S3Bucket": bucket.name, "S3Key": bucket.put("disk.raw")}, "Format": "RAW"}
    return ec2.import_snapshot(DiskContainer=container, **members)["ImportTaskId"]


def detail(task: Any) -> Any:
    return task["SnapshotTaskDetail"]


def test_an_import_answers_at_once_with_a_task_that_is_active(
    shared: RunningServer, alice: "EC2Client", bucket: Bucket
) -> None:
    with transfers_wait(shared):
        task = alice.import_snapshot(
            Description="My server VM",
            DiskContainer={
                "Description": "My server VMDK",
                "Format": "VMDK",
                "UserBucket": {"S3Bucket": bucket.name, "S3Key": "vms/my-server-vm.vmdk"},
            },
        )

    assert task["ImportTaskId"].startswith("import-snap-")
    assert task["Description"] == "My server VM"
    shown = {name: detail(task)[name] for name in ("Description", "Format", "Status", "StatusMessage", "Progress")}
    assert shown == {
        "Description": "My server VMDK",
        "Format": "VMDK",
        "Status": "active",
        "StatusMessage": "pending",
        "Progress": "0",
    }


def test_a_completed_import_names_its_snapshot(alice: "EC2Client", bucket: Bucket) -> None:
    task = ended_snapshot_import(alice, begun(alice, bucket))

    assert detail(task)["Status"] == "completed"
    assert detail(task)["DiskImageSize"] == DISK_BYTES
    assert {"Progress", "StatusMessage"}.isdisjoint(detail(task))
    (snapshot,) = alice.describe_snapshots(SnapshotIds=[detail(task)["SnapshotId"]])["Snapshots"]
    assert (snapshot["State"], snapshot["VolumeId"]) == ("completed", "vol-ffffffff")


def test_clients_find_the_snapshot_by_its_description(alice: "EC2Client", bucket: Bucket) -> None:
    task_id = begun(alice, bucket)
    ended_snapshot_import(alice, task_id)
    wanted = f"Created by AWS-VMImport service for {task_id}"

    found = alice.describe_snapshots(Filters=[{"Name": "description", "Values": [wanted]}])["Snapshots"]

    assert len(found) == 1


def test_an_imported_snapshot_can_become_an_image(alice: "EC2Client", bucket: Bucket) -> None:
    snapshot_id = detail(ended_snapshot_import(alice, begun(alice, bucket)))["SnapshotId"]

    image_id = alice.register_image(
        Name="registered",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}],
    )["ImageId"]

    assert alice.describe_images(ImageIds=[image_id])["Images"][0]["State"] == "available"


def test_a_failed_import_is_deleted_and_says_why(alice: "EC2Client", bucket: Bucket) -> None:
    container: Any = {"Url": f"s3://{bucket.name}/missing.raw"}

    task = ended_snapshot_import(alice, alice.import_snapshot(DiskContainer=container)["ImportTaskId"])

    assert detail(task)["Status"] == "deleted"
    assert detail(task)["StatusMessage"].startswith("ClientError: ")
    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_a_cancelled_import_leaves_nothing(shared: RunningServer, alice: "EC2Client", bucket: Bucket) -> None:
    with transfers_wait(shared):
        task_id = begun(alice, bucket)
        alice.cancel_import_task(ImportTaskId=task_id)

    assert detail(ended_snapshot_import(alice, task_id))["Status"] == "deleted"
    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []


def test_tasks_are_found_by_state_and_tags(alice: "EC2Client", bucket: Bucket) -> None:
    tags: Any = [{"ResourceType": "import-snapshot-task", "Tags": [{"Key": "team", "Value": "web"}]}]
    task_id = begun(alice, bucket, TagSpecifications=tags)
    ended_snapshot_import(alice, task_id)
    ended_snapshot_import(alice, begun(alice, bucket))
    wanted: Any = [{"Name": "task-state", "Values": ["completed"]}, {"Name": "tag-key", "Values": ["team"]}]

    found = alice.describe_import_snapshot_tasks(Filters=wanted)["ImportSnapshotTasks"]

    assert [task["ImportTaskId"] for task in found] == [task_id]
    with refused("InvalidParameterValue"):
        alice.describe_import_snapshot_tasks(Filters=[{"Name": "state", "Values": ["completed"]}])


def test_a_client_token_begins_one_import(alice: "EC2Client", bucket: Bucket) -> None:
    assert begun(alice, bucket, ClientToken="once") == begun(alice, bucket, ClientToken="once")


def test_a_stranger_neither_sees_nor_cancels_a_task(alice: "EC2Client", bob: "EC2Client", bucket: Bucket) -> None:
    task_id = begun(alice, bucket)

    assert bob.describe_import_snapshot_tasks()["ImportSnapshotTasks"] == []
    with refused("InvalidConversionTaskId"):
        bob.describe_import_snapshot_tasks(ImportTaskIds=[task_id])
    with refused("InvalidConversionTaskId"):
        bob.cancel_import_task(ImportTaskId=task_id)


def test_an_id_of_an_image_import_is_malformed(alice: "EC2Client") -> None:
    with refused("InvalidConversionTaskId.Malformed"):
        alice.describe_import_snapshot_tasks(ImportTaskIds=["import-ami-01234567890abcdef"])


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "InvalidParameter"),
        ({"DiskContainer": {"Url": "s3://b/k", "Format": "OVA"}}, "InvalidParameterValue"),
        ({"DiskContainer": {"Url": "s3://b/k"}, "KmsKeyId": "k", "Encrypted": True}, "InvalidKMSKey.InvalidState"),
        ({"DiskContainer": {"Url": "s3://b/k"}, "KmsKeyId": "k"}, "InvalidParameterDependency"),
        ({"DiskContainer": {"Url": "s3://b/k"}, "Description": "x" * 256}, "InvalidParameterValue"),
    ],
)
def test_what_cannot_be_honoured_is_refused(alice: "EC2Client", members: Any, code: str) -> None:
    with refused(code):
        alice.import_snapshot(**members)
