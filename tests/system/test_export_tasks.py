"""Images, and instances, written as objects: ExportImage, CreateInstanceExportTask, their descriptions and ends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop
from tests.system.transfers import (
    Bucket,
    ended_export,
    ended_import,
    ended_instance_export,
    instance_export,
    transfers_wait,
)

from bakehouse.app.export_tasks import ExportTasks
from bakehouse.domain.image import Image


def begun(shop: Shop, bucket: Bucket, file_format: Any = "RAW", prefix: str = "exports/", **members: Any) -> str:
    location: Any = {"S3Bucket": bucket.name, "S3Prefix": prefix}
    wanted = {"ImageId": shop.image_id, "DiskImageFormat": file_format, "S3ExportLocation": location, **members}
    return shop.ec2.export_image(**wanted)["ExportImageTaskId"]


def test_an_export_answers_at_once_with_a_task_that_is_active(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        task = shop.ec2.export_image(
            Description="My image export",
            DiskImageFormat="VMDK",
            ImageId=shop.image_id,
            S3ExportLocation={"S3Bucket": bucket.name, "S3Prefix": "exports/"},
        )

    assert task["ExportImageTaskId"].startswith("export-ami-")
    assert (task["Status"], task["Progress"], task["RoleName"]) == ("active", "0", "vmimport")
    assert (task["DiskImageFormat"], task["ImageId"]) == ("VMDK", shop.image_id)
    assert task["S3ExportLocation"] == {"S3Bucket": bucket.name, "S3Prefix": "exports/"}


@pytest.mark.parametrize(("file_format", "suffix"), [("RAW", "raw"), ("VMDK", "vmdk"), ("VHD", "vhd")])
def test_the_object_has_the_prefix_the_task_and_the_format_in_its_key(
    shop: Shop, bucket: Bucket, file_format: str, suffix: str
) -> None:
    task_id = begun(shop, bucket, file_format)

    assert ended_export(shop.ec2, task_id)["Status"] == "completed"
    assert bucket.keys() == {f"exports/{task_id}.{suffix}"}


@pytest.mark.parametrize("file_format", ["RAW", "VMDK", "VHD"])
def test_what_was_exported_can_be_imported(shop: Shop, bucket: Bucket, file_format: str) -> None:
    task_id = begun(shop, bucket, file_format, prefix="")
    ended_export(shop.ec2, task_id)
    (key,) = bucket.keys()

    again: Any = [{"Format": file_format, "UserBucket": {"S3Bucket": bucket.name, "S3Key": key}}]
    task = ended_import(shop.ec2, shop.ec2.import_image(DiskContainers=again)["ImportTaskId"])

    assert task["Status"] == "completed", task
    (image,) = shop.ec2.describe_images(ImageIds=[task["ImageId"]])["Images"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 2


def test_what_was_written_for_an_export_is_gone_afterwards(shop: Shop, bucket: Bucket) -> None:
    task_id = begun(shop, bucket)
    ended_export(shop.ec2, task_id)

    assert not (shop.running.home / "transfers" / task_id).exists()


def test_a_cancelled_export_leaves_nothing(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        task_id = begun(shop, bucket)
        shop.ec2.cancel_export_task(ExportTaskId=task_id)

    assert ended_export(shop.ec2, task_id)["Status"] == "deleted"
    assert bucket.keys() == set()
    assert not (shop.running.home / "transfers" / task_id).exists()


def test_an_export_that_has_ended_cannot_be_cancelled(shop: Shop, bucket: Bucket) -> None:
    task_id = begun(shop, bucket)
    ended_export(shop.ec2, task_id)

    with refused("IncorrectState"):
        shop.ec2.cancel_export_task(ExportTaskId=task_id)


def test_an_image_is_exported_once_at_a_time(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        task_id = begun(shop, bucket)
        with refused("ResourceInUse"):
            begun(shop, bucket)
    ended_export(shop.ec2, task_id)

    assert ended_export(shop.ec2, begun(shop, bucket))["Status"] == "completed"


def test_an_export_whose_snapshot_goes_before_its_turn_fails(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        task_id = begun(shop, bucket)
        shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    task = ended_export(shop.ec2, task_id)

    assert (task["Status"], task["StatusMessage"].partition(":")[0]) == ("deleted", "ClientError")
    assert bucket.keys() == set()


def test_a_bucket_that_is_not_there_is_refused_at_once(shop: Shop) -> None:
    with refused("InvalidParameter"):
        shop.ec2.export_image(
            ImageId=shop.image_id, DiskImageFormat="RAW", S3ExportLocation={"S3Bucket": "there-is-no-such-bucket"}
        )


def _change_image(shop: Shop, **members: Any) -> None:
    store = shop.running.server.context.store

    async def change() -> None:
        async with store.transaction() as tx:
            tx.put(replace(store.images[shop.image_id], **members))

    shop.running.call(change())


def _image(shop: Shop) -> Image:
    return shop.running.server.context.store.images[shop.image_id]


def test_an_image_with_several_volumes_is_refused(shop: Shop, bucket: Bucket) -> None:
    device = replace(_image(shop).block_devices[0], device_name="/dev/sdf")
    _change_image(shop, block_devices=(*_image(shop).block_devices, device))

    with refused("UnsupportedOperation"):
        begun(shop, bucket)


def test_an_image_that_is_not_available_is_refused(shop: Shop, bucket: Bucket) -> None:
    _change_image(shop, state="disabled")

    with refused("InvalidAMIID.Unavailable"):
        begun(shop, bucket)


@pytest.mark.parametrize("members", [{"encrypted": True}, {"volume_size_gib": 1025}])
def test_a_snapshot_that_cannot_be_exported_is_refused(shop: Shop, bucket: Bucket, members: Any) -> None:
    store = shop.running.server.context.store

    async def change() -> None:
        async with store.transaction() as tx:
            tx.put(replace(store.snapshots[_image(shop).snapshot_ids[0]], **members))

    shop.running.call(change())

    with refused("NotExportable"):
        begun(shop, bucket)


def test_another_accounts_image_is_not_exported(shop: Shop, bob: Any, bucket: Bucket) -> None:
    wanted: Any = {
        "ImageId": shop.image_id,
        "DiskImageFormat": "RAW",
        "S3ExportLocation": {"S3Bucket": bucket.name},
    }
    with refused("InvalidAMIID.NotFound"):
        bob.export_image(**wanted)

    shop.ec2.modify_image_attribute(ImageId=shop.image_id, LaunchPermission={"Add": [{"Group": "all"}]})

    with refused("AuthFailure", status=403):
        bob.export_image(**wanted)


def test_a_stranger_neither_sees_nor_cancels_a_task(shop: Shop, bob: Any, bucket: Bucket) -> None:
    task_id = begun(shop, bucket)

    assert bob.describe_export_image_tasks()["ExportImageTasks"] == []
    with refused("InvalidExportTaskID.NotFound"):
        bob.describe_export_image_tasks(ExportImageTaskIds=[task_id])
    with refused("InvalidExportTaskID.NotFound"):
        bob.cancel_export_task(ExportTaskId=task_id)


@pytest.mark.parametrize("task_id", ["export-ami-1", "import-ami-01234567890abcdef", "x"])
def test_what_is_no_id_of_an_export_is_malformed(shop: Shop, task_id: str) -> None:
    with refused("InvalidExportTaskID.Malformed"):
        shop.ec2.describe_export_image_tasks(ExportImageTaskIds=[task_id])
    with refused("InvalidExportTaskID.Malformed"):
        shop.ec2.cancel_export_task(ExportTaskId=task_id)


def test_tasks_are_found_by_state_and_tags(shop: Shop, bucket: Bucket) -> None:
    tags: Any = [{"ResourceType": "export-image-task", "Tags": [{"Key": "team", "Value": "web"}]}]
    task_id = begun(shop, bucket, TagSpecifications=tags)
    ended_export(shop.ec2, task_id)
    ended_export(shop.ec2, begun(shop, bucket))
    wanted: Any = [{"Name": "task-state", "Values": ["completed"]}, {"Name": "tag:team", "Values": ["web"]}]

    found = shop.ec2.describe_export_image_tasks(Filters=wanted)["ExportImageTasks"]

    assert [task["ExportImageTaskId"] for task in found] == [task_id]


def test_a_client_token_begins_one_export(shop: Shop, bucket: Bucket) -> None:
    assert begun(shop, bucket, ClientToken="once") == begun(shop, bucket, ClientToken="once")


def test_a_description_that_is_too_long_is_refused(shop: Shop, bucket: Bucket) -> None:
    with refused("InvalidParameterValue"):
        begun(shop, bucket, Description="x" * 256)


def test_ended_tasks_are_shown_for_a_week(running: RunningServer, tmp_path: Any) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    shop = Shop(running, "default", disk)
    bucket = Bucket(running, "a")
    ended_export(shop.ec2, begun(shop, bucket))
    tasks = running.server.app.export_tasks

    def shown_after(days: int) -> int:
        later = replace(tasks._context, now=lambda: datetime.now(UTC) + timedelta(days=days))
        running.call(ExportTasks(later, tasks._images).forget_old())
        return len(shop.ec2.describe_export_image_tasks()["ExportImageTasks"])

    assert [shown_after(6), shown_after(8)] == [1, 0]


def begun_of_instance(shop: Shop, bucket: Bucket, instance_id: str, **members: Any) -> str:
    to_s3: Any = {"DiskImageFormat": "VMDK", "S3Bucket": bucket.name, "S3Prefix": "vms/", **members}
    task = shop.ec2.create_instance_export_task(
        InstanceId=instance_id, TargetEnvironment="vmware", ExportToS3Task=to_s3, Description="mine"
    )
    return task["ExportTask"]["ExportTaskId"]


def test_an_instance_is_exported_by_a_snapshot_that_goes_afterwards(shop: Shop, bucket: Bucket) -> None:
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1)
    before = shop.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    task_id = begun_of_instance(shop, bucket, instance_id)

    task = ended_instance_export(shop.ec2, task_id)
    assert task["State"] == "completed", task
    assert task["InstanceExportDetails"] == {"InstanceId": instance_id, "TargetEnvironment": "vmware"}
    assert task["ExportToS3Task"]["S3Key"] == f"vms/{task_id}.vmdk"
    assert bucket.keys() == {f"vms/{task_id}.vmdk"}
    assert shop.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == before


def test_a_cancelled_export_of_an_instance_leaves_nothing(shop: Shop, bucket: Bucket) -> None:
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1)
    before = shop.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    with transfers_wait(shop.running):
        task_id = begun_of_instance(shop, bucket, instance_id)
        shop.ec2.cancel_export_task(ExportTaskId=task_id)

    assert ended_instance_export(shop.ec2, task_id)["State"] == "cancelled"
    assert bucket.keys() == set()
    assert shop.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == before


def test_exports_of_instances_are_found_by_id_and_tags(shop: Shop, bucket: Bucket, bob: Any) -> None:
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1)
    task_id = begun_of_instance(shop, bucket, instance_id)
    shop.ec2.create_tags(Resources=[task_id], Tags=[{"Key": "team", "Value": "web"}])
    wanted: Any = [{"Name": "tag:team", "Values": ["web"]}]

    assert [it["ExportTaskId"] for it in shop.ec2.describe_export_tasks(Filters=wanted)["ExportTasks"]] == [task_id]
    assert instance_export(shop.ec2, task_id)["Description"] == "mine"
    with refused("InvalidExportTaskID.NotFound"):
        bob.describe_export_tasks(ExportTaskIds=[task_id])


def test_an_instance_with_several_volumes_is_refused(shop: Shop, bucket: Bucket) -> None:
    mapping: Any = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}]
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1, BlockDeviceMappings=mapping)

    with refused("UnsupportedOperation"):
        begun_of_instance(shop, bucket, instance_id)


@pytest.mark.parametrize(
    ("members", "code"),
    [({"ContainerFormat": "ova"}, "UnsupportedOperation"), ({"DiskImageFormat": "RAW"}, "UnsupportedOperation")],
)
def test_what_an_instance_cannot_be_exported_as_is_refused(shop: Shop, bucket: Bucket, members: Any, code: str) -> None:
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1)

    with refused(code):
        begun_of_instance(shop, bucket, instance_id, **members)


@pytest.mark.parametrize("operation", ["import_instance", "import_volume", "cancel_conversion_task"])
def test_the_older_way_to_import_is_refused_with_what_to_use(shop: Shop, operation: str) -> None:
    image = {"Format": "RAW", "Bytes": 1, "ImportManifestUrl": "https://example.com/"}
    members: dict[str, dict[str, Any]] = {
        "import_instance": {"Platform": "Windows"},
        "import_volume": {"AvailabilityZone": "us-east-1a", "Image": image, "Volume": {"Size": 1}},
        "cancel_conversion_task": {"ConversionTaskId": "import-i-ffffffff"},
    }
    with refused("UnsupportedOperation"):
        getattr(shop.ec2, operation)(**members[operation])
