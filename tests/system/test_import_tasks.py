"""Disks from outside that become images: ImportImage, its description and its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.transfers import DISK_BYTES, Bucket, ended_import, import_task, transfers_wait

from bakehouse.app.import_tasks import ImportTasks
from bakehouse.domain.task_status import TaskStatus

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def container(bucket: Bucket, key: str, **members: Any) -> dict[str, Any]:
    return {"UserBucket": {"S3Bucket": bucket.name, "S3Key": key}, **members}


def begun(ec2: "EC2Client", bucket: Bucket, **members: Any) -> str:
    """Begin an import of an empty raw disk and return the task's id."""
    containers: Any = [container(bucket, bucket.put("disk.raw"))]
    return ec2.import_image(DiskContainers=containers, **members)["ImportTaskId"]


def imported(ec2: "EC2Client", bucket: Bucket, **members: Any) -> Any:
    """Import an empty raw disk and return the image."""
    task = ended_import(ec2, begun(ec2, bucket, **members))
    (image,) = ec2.describe_images(ImageIds=[task["ImageId"]])["Images"]
    return image


def test_an_import_answers_at_once_with_a_task_that_is_active(
    shared: RunningServer, alice: "EC2Client", bucket: Bucket
) -> None:
    with transfers_wait(shared):
        task: Any = alice.import_image(
            Description="My server disks",
            DiskContainers=[
                {
                    "Description": "First disk",
                    "Format": "raw",
                    "UserBucket": {"S3Bucket": bucket.name, "S3Key": bucket.put("disk.raw")},
                }
            ],
        )

    assert task["ImportTaskId"].startswith("import-ami-")
    assert {name: task[name] for name in ("Status", "StatusMessage", "Progress")} == {
        "Status": "active",
        "StatusMessage": "pending",
        "Progress": "0",
    }
    assert (task["Architecture"], task["Platform"], task["LicenseType"]) == ("x86_64", "Linux", "BYOL")
    assert "ImageId" not in task
    (detail,) = task["SnapshotDetails"]
    assert (detail["Description"], detail["Status"]) == ("First disk", "active")
    assert detail["UserBucket"] == {"S3Bucket": bucket.name, "S3Key": "disk.raw"}


def test_a_completed_import_names_its_image_and_its_snapshot(alice: "EC2Client", bucket: Bucket) -> None:
    task = ended_import(alice, begun(alice, bucket))

    assert task["Status"] == "completed"
    assert "Progress" not in task
    (detail,) = task["SnapshotDetails"]
    assert (detail["Status"], detail["Format"], detail["DiskImageSize"]) == ("completed", "RAW", DISK_BYTES)
    (snapshot,) = alice.describe_snapshots(SnapshotIds=[detail["SnapshotId"]])["Snapshots"]
    assert snapshot["State"] == "completed"
    assert snapshot["Description"] == f"Created by AWS-VMImport service for {task['ImportTaskId']}"


def test_an_imported_image_can_be_launched(alice: "EC2Client", bucket: Bucket) -> None:
    image = imported(alice, bucket)

    launched = alice.run_instances(ImageId=image["ImageId"], MinCount=1, MaxCount=1)["Instances"][0]

    assert launched["RootDeviceName"] == "/dev/sda1"


def test_an_imported_image_is_named_and_described_as_ec2_does(alice: "EC2Client", bucket: Bucket) -> None:
    image = imported(alice, bucket, Architecture="i386", BootMode="legacy-bios")

    assert image["Name"].startswith("import-ami-")
    assert image["Description"].startswith("AWS-VMImport service: Linux")
    assert (image["State"], image["Architecture"], image["BootMode"]) == ("available", "i386", "legacy-bios")


def test_several_disks_make_one_image(alice: "EC2Client", bucket: Bucket) -> None:
    disks: Any = [
        container(bucket, bucket.put("root.raw")),
        container(bucket, bucket.put("data.raw", size=2 << 30)),
        container(bucket, bucket.put("more.raw"), DeviceName="/dev/sdp"),
    ]
    task = ended_import(alice, alice.import_image(DiskContainers=disks)["ImportTaskId"])

    (image,) = alice.describe_images(ImageIds=[task["ImageId"]])["Images"]

    devices = {it["DeviceName"]: it["Ebs"]["VolumeSize"] for it in image["BlockDeviceMappings"]}
    assert devices == {"/dev/sda1": 1, "/dev/sdf": 2, "/dev/sdp": 1}


def test_a_disk_may_be_a_snapshot_that_is_here_already(alice: "EC2Client", bucket: Bucket) -> None:
    image = imported(alice, bucket)
    snapshot_id = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    again = alice.import_image(DiskContainers=[{"SnapshotId": snapshot_id}])
    task = ended_import(alice, again["ImportTaskId"])

    assert task["Status"] == "completed"
    assert task["SnapshotDetails"][0]["SnapshotId"] != snapshot_id


def test_an_s3_address_names_a_bucket_and_a_key(alice: "EC2Client", bucket: Bucket) -> None:
    url = f"s3://{bucket.name}/{bucket.put('vms/disk.raw')}"

    task = ended_import(alice, alice.import_image(DiskContainers=[{"Url": url}])["ImportTaskId"])

    assert task["Status"] == "completed"
    assert task["SnapshotDetails"][0]["Url"] == url


def test_what_was_fetched_for_an_import_is_gone_afterwards(
    shared: RunningServer, alice: "EC2Client", bucket: Bucket
) -> None:
    task = ended_import(alice, begun(alice, bucket))

    assert not (shared.home / "transfers" / task["ImportTaskId"]).exists()


def test_a_missing_object_fails_the_task_with_the_reason(alice: "EC2Client", bucket: Bucket) -> None:
    missing: Any = [container(bucket, "missing.raw")]

    task = ended_import(alice, alice.import_image(DiskContainers=missing)["ImportTaskId"])

    assert task["Status"] == "deleted"
    assert task["StatusMessage"].startswith("ClientError: ")
    assert "404" in task["StatusMessage"]


def test_a_missing_bucket_fails_the_task_with_the_reason(alice: "EC2Client") -> None:
    missing: Any = [{"UserBucket": {"S3Bucket": "there-is-no-such-bucket", "S3Key": "disk.raw"}}]

    task = ended_import(alice, alice.import_image(DiskContainers=missing)["ImportTaskId"])

    assert (task["Status"], "bucket" in task["StatusMessage"]) == ("deleted", True)


def test_a_disk_of_another_format_than_was_said_fails_the_task(alice: "EC2Client", bucket: Bucket) -> None:
    raw: Any = [container(bucket, bucket.put("disk.raw"), Format="VMDK")]

    task = ended_import(alice, alice.import_image(DiskContainers=raw)["ImportTaskId"])

    assert task["Status"] == "deleted"
    assert "raw" in task["StatusMessage"]


def test_one_bad_disk_of_several_leaves_no_snapshot(alice: "EC2Client", bucket: Bucket) -> None:
    disks: Any = [container(bucket, bucket.put("root.raw")), container(bucket, "missing.raw")]

    ended_import(alice, alice.import_image(DiskContainers=disks)["ImportTaskId"])

    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert alice.describe_images(Owners=["self"])["Images"] == []


def test_a_cancelled_import_leaves_nothing(shared: RunningServer, alice: "EC2Client", bucket: Bucket) -> None:
    with transfers_wait(shared):
        task_id = begun(alice, bucket)
        answer = alice.cancel_import_task(ImportTaskId=task_id, CancelReason="not this one")

    assert (answer["PreviousState"], answer["State"]) == ("active", "deleting")
    task = ended_import(alice, task_id)
    assert (task["Status"], task["StatusMessage"]) == ("deleted", "not this one")
    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert not (shared.home / "transfers" / task_id).exists()


def test_an_import_that_has_ended_cannot_be_cancelled(alice: "EC2Client", bucket: Bucket) -> None:
    task_id = ended_import(alice, begun(alice, bucket))["ImportTaskId"]

    with refused("IncorrectState"):
        alice.cancel_import_task(ImportTaskId=task_id)


def test_only_two_imports_are_at_work_at_a_time(shared: RunningServer, alice: "EC2Client", bucket: Bucket) -> None:
    with transfers_wait(shared):
        task_id = begun(alice, bucket)

        assert import_task(alice, task_id)["StatusMessage"] == "pending"

    assert ended_import(alice, task_id)["Status"] == "completed"


def test_tasks_are_found_by_their_state(shared: RunningServer, alice: "EC2Client", bucket: Bucket) -> None:
    done = ended_import(alice, begun(alice, bucket))["ImportTaskId"]
    with transfers_wait(shared):
        active = begun(alice, bucket)
        found = {
            state: [
                task["ImportTaskId"]
                for task in alice.describe_import_image_tasks(Filters=[{"Name": "task-state", "Values": [state]}])[
                    "ImportImageTasks"
                ]
            ]
            for state in TaskStatus
        }

    assert found == {"active": [active], "completed": [done], "deleting": [], "deleted": []}


def test_tasks_are_found_by_their_tags(alice: "EC2Client", bucket: Bucket) -> None:
    tags: Any = [{"ResourceType": "import-image-task", "Tags": [{"Key": "team", "Value": "web"}]}]
    task_id = begun(alice, bucket, TagSpecifications=tags)
    begun(alice, bucket)

    found = alice.describe_import_image_tasks(Filters=[{"Name": "tag:team", "Values": ["web"]}])["ImportImageTasks"]

    assert [task["ImportTaskId"] for task in found] == [task_id]
    assert found[0]["Tags"] == [{"Key": "team", "Value": "web"}]


def test_a_task_can_be_tagged_later(alice: "EC2Client", bucket: Bucket) -> None:
    task_id = begun(alice, bucket)

    alice.create_tags(Resources=[task_id], Tags=[{"Key": "team", "Value": "web"}])

    (tag,) = alice.describe_tags()["Tags"]
    assert (tag["ResourceType"], tag["ResourceId"]) == ("import-image-task", task_id)


def test_a_client_token_begins_one_import(alice: "EC2Client", bucket: Bucket) -> None:
    containers: Any = [container(bucket, bucket.put("disk.raw"))]
    first, second = (
        alice.import_image(ClientToken="once", DiskContainers=containers)["ImportTaskId"] for _ in range(2)
    )

    assert first == second


def test_a_stranger_neither_sees_nor_cancels_a_task(alice: "EC2Client", bob: "EC2Client", bucket: Bucket) -> None:
    task_id = begun(alice, bucket)

    assert bob.describe_import_image_tasks()["ImportImageTasks"] == []
    with refused("InvalidConversionTaskId"):
        bob.describe_import_image_tasks(ImportTaskIds=[task_id])
    with refused("InvalidConversionTaskId"):
        bob.cancel_import_task(ImportTaskId=task_id)


def test_a_task_of_another_region_is_not_found(
    shared: RunningServer, alice: "EC2Client", bucket: Bucket, request: pytest.FixtureRequest
) -> None:
    task_id = begun(alice, bucket)
    elsewhere = shared.ec2(f"alice of {request.node.nodeid}", "eu-central-1")

    with refused("InvalidConversionTaskId"):
        elsewhere.describe_import_image_tasks(ImportTaskIds=[task_id])


@pytest.mark.parametrize("task_id", ["import-ami-xyz", "ami-01234567890abcdef", "import-snap-01234567890abcdef", ""])
def test_what_is_no_id_of_an_import_is_malformed(alice: "EC2Client", task_id: str) -> None:
    with refused("InvalidConversionTaskId.Malformed"):
        alice.describe_import_image_tasks(ImportTaskIds=[task_id])


def test_an_id_of_neither_kind_cannot_be_cancelled(alice: "EC2Client") -> None:
    with refused("InvalidConversionTaskId.Malformed"):
        alice.cancel_import_task(ImportTaskId="ami-01234567890abcdef")
    with refused("MissingParameter"):
        alice.cancel_import_task()


@pytest.mark.parametrize(
    ("containers", "code"),
    [
        ([], "InvalidParameter"),
        ([{"Format": "raw"}], "InvalidParameter"),
        ([{"Url": "s3://b/k", "SnapshotId": "snap-01234567890abcdef"}], "InvalidParameter"),
        ([{"Url": "ftp://host/disk.raw"}], "InvalidParameter"),
        ([{"Url": "s3://bucket"}], "InvalidParameter"),
        ([{"UserBucket": {"S3Bucket": "b"}}], "InvalidParameter"),
        ([{"Url": "s3://b/k"}] * 22, "InvalidParameter"),
        ([{"Url": "s3://b/k", "DeviceName": "/dev/sdf"}] * 2, "InvalidParameter"),
        ([{"Url": "s3://b/k", "DeviceName": "C:"}], "InvalidParameterValue"),
        ([{"Url": "s3://b/k", "Format": "ISO"}], "InvalidParameterValue"),
        ([{"SnapshotId": "snap-01234567890abcdef"}], "InvalidSnapshot.NotFound"),
    ],
)
def test_a_request_that_names_no_disk_is_refused_at_once(alice: "EC2Client", containers: Any, code: str) -> None:
    with refused(code):
        alice.import_image(DiskContainers=containers)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Platform": "Windows"}, "UnsupportedOperation"),
        ({"Platform": "Plan9"}, "InvalidParameterValue"),
        ({"LicenseType": "AWS"}, "UnsupportedOperation"),
        ({"LicenseType": "GPL"}, "InvalidParameterValue"),
        ({"UsageOperation": "RunInstances:0002"}, "InvalidParameterValue"),
        ({"Architecture": "arm64"}, "InvalidParameterValue"),
        ({"BootMode": "uefi-preferred"}, "InvalidParameterValue"),
        ({"Hypervisor": "hyperv"}, "UnsupportedOperation"),
        ({"Encrypted": True, "KmsKeyId": "alias/key"}, "InvalidKMSKey.InvalidState"),
        ({"KmsKeyId": "alias/key"}, "InvalidParameterDependency"),
        ({"LicenseSpecifications": [{"LicenseConfigurationArn": "arn:aws:x"}]}, "UnsupportedOperation"),
        ({"Description": "x" * 256}, "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "image", "Tags": []}]}, "InvalidParameterValue"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    alice: "EC2Client", bucket: Bucket, members: dict[str, Any], code: str
) -> None:
    with refused(code):
        begun(alice, bucket, **members)


def test_what_says_nothing_more_than_the_default_is_taken(alice: "EC2Client", bucket: Bucket) -> None:
    members: Any = {
        "ClientData": {"Comment": "uploaded by hand", "UploadSize": 0.5},
        "Encrypted": False,
        "Hypervisor": "xen",
        "LicenseType": "BYOL",
        "Platform": "Linux",
        "RoleName": "vmimport",
        "UsageOperation": "RunInstances",
    }

    assert ended_import(alice, begun(alice, bucket, **members))["Status"] == "completed"


def test_an_ended_task_is_shown_for_a_week(running: RunningServer) -> None:
    ec2 = running.ec2()
    ended_import(ec2, begun(ec2, Bucket(running, "a")))
    tasks = running.server.app.import_tasks

    def shown_after(days: int) -> int:
        later = replace(tasks._context, now=lambda: datetime.now(UTC) + timedelta(days=days))
        running.call(ImportTasks(later).forget_old())
        return len(ec2.describe_import_image_tasks()["ImportImageTasks"])

    assert [shown_after(6), shown_after(8)] == [1, 0]
