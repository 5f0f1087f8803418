"""Images stored as single objects, and restored from them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop
from tests.system.transfers import Bucket, ended_store, settled_image, store_task, transfers_wait

from bakehouse.app.store_image_tasks import StoreImageTasks
from bakehouse.ports.objects import ObjectAt


def stored(shop: Shop, bucket: Bucket, **members: Any) -> str:
    """Store the shop's image and return the object's key."""
    key = shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name, **members)["ObjectKey"]
    assert ended_store(shop.ec2, shop.image_id)["StoreTaskState"] == "Completed"
    return key


def restored(shop: Shop, bucket: Bucket, key: str, **members: Any) -> Any:
    """Restore an object and return the image when it has settled."""
    members.setdefault("Name", "restored")
    answer = shop.ec2.create_restore_image_task(Bucket=bucket.name, ObjectKey=key, **members)
    return settled_image(shop.ec2, answer["ImageId"])


def snapshot_of(image: Any) -> str:
    return str(image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])


def own_snapshots(shop: Shop) -> list[str]:
    return [it["SnapshotId"] for it in shop.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]]


def test_an_image_is_stored_under_its_own_name(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket)

    assert key == f"{shop.image_id}.bin"
    assert bucket.keys() == {key}


def test_a_path_behind_the_buckets_name_goes_before_the_key(shop: Shop, bucket: Bucket) -> None:
    key = shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=f"{bucket.name}/path1/path2")["ObjectKey"]
    ended_store(shop.ec2, shop.image_id)

    assert key == f"path1/path2/{shop.image_id}.bin"
    assert bucket.keys() == {key}
    assert restored(shop, bucket, key)["State"] == "available"


def test_a_task_in_progress_says_how_far_it_is(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

        task = store_task(shop.ec2, shop.image_id)

        assert bucket.keys() == set()
    assert (task["AmiId"], task["Bucket"], task["S3objectKey"]) == (
        shop.image_id,
        bucket.name,
        f"{shop.image_id}.bin",
    )
    assert (task["StoreTaskState"], task["ProgressPercentage"]) == ("InProgress", 0)
    assert task["TaskStartTime"] <= datetime.now(UTC)


def test_a_completed_task_is_at_a_hundred_percent(shop: Shop, bucket: Bucket) -> None:
    stored(shop, bucket)

    task = store_task(shop.ec2, shop.image_id)

    assert task["ProgressPercentage"] == 100
    assert "StoreTaskFailureReason" not in task


def test_the_object_has_the_tags_of_the_request(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket, S3ObjectTags=[{"Key": "kept", "Value": "long"}])

    place = ObjectAt(bucket=bucket.name, key=key)
    assert dict(shop.running.call(shop.running.drivers.objects.tags(place))) == {"kept": "long"}


def test_a_restored_image_is_what_was_stored(shop: Shop, bucket: Bucket) -> None:
    (before,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]

    image = restored(shop, bucket, stored(shop, bucket))

    assert (image["State"], image["Name"]) == ("available", "restored")
    for member in ("Architecture", "RootDeviceName", "RootDeviceType", "EnaSupport", "VirtualizationType"):
        assert image[member] == before[member]
    assert (image["SourceImageId"], image["SourceImageRegion"]) == (shop.image_id, "us-east-1")
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 2
    assert snapshot_of(image) != snapshot_of(before)


def test_a_restored_image_can_be_launched(shop: Shop, bucket: Bucket) -> None:
    image = restored(shop, bucket, stored(shop, bucket))

    assert shop.launch(ImageId=image["ImageId"])["State"]["Name"] == "running"


def test_nothing_is_restored_unencrypted_where_the_account_encrypts_all(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket)
    shop.ec2.enable_ebs_encryption_by_default()

    with refused("UnsupportedOperation"):
        shop.ec2.create_restore_image_task(Bucket=bucket.name, ObjectKey=key, Name="restored")

    assert shop.ec2.describe_images(Filters=[{"Name": "name", "Values": ["restored"]}], Owners=["self"])["Images"] == []


def test_an_image_comes_back_under_its_own_name_when_that_is_free(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket)
    shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    image = settled_image(shop.ec2, shop.ec2.create_restore_image_task(Bucket=bucket.name, ObjectKey=key)["ImageId"])

    assert (image["State"], image["Name"]) == ("available", "test")


def test_an_image_does_not_come_back_under_a_name_in_use(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket)
    before = own_snapshots(shop)

    image = settled_image(shop.ec2, shop.ec2.create_restore_image_task(Bucket=bucket.name, ObjectKey=key)["ImageId"])

    assert image["State"] == "failed"
    assert "already in use" in image["StateReason"]["Message"]
    assert own_snapshots(shop) == before


def test_tags_of_image_and_snapshots_come_back(shop: Shop, bucket: Bucket) -> None:
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    shop.ec2.create_tags(Resources=[shop.image_id, snapshot_of(image)], Tags=[{"Key": "team", "Value": "web"}])
    key = stored(shop, bucket)
    more: Any = [
        {"ResourceType": "image", "Tags": [{"Key": "stage", "Value": "prod"}]},
        {"ResourceType": "snapshot", "Tags": [{"Key": "team", "Value": "data"}]},
    ]

    image = restored(shop, bucket, key, TagSpecifications=more)

    assert {tag["Key"]: tag["Value"] for tag in image["Tags"]} == {"team": "web", "stage": "prod"}
    (snapshot,) = shop.ec2.describe_snapshots(SnapshotIds=[snapshot_of(image)])["Snapshots"]
    assert snapshot["Tags"] == [{"Key": "team", "Value": "data"}]


def test_launch_permissions_do_not_come_back(shop: Shop, bucket: Bucket) -> None:
    shop.ec2.modify_image_attribute(ImageId=shop.image_id, LaunchPermission={"Add": [{"Group": "all"}]})

    assert not restored(shop, bucket, stored(shop, bucket))["Public"]


def test_a_stored_image_can_be_restored_in_another_region(shop: Shop, bucket: Bucket, request: Any) -> None:
    key = stored(shop, bucket)
    elsewhere = shop.running.ec2(request.node.nodeid, "eu-central-1")

    image = settled_image(elsewhere, elsewhere.create_restore_image_task(Bucket=bucket.name, ObjectKey=key)["ImageId"])

    assert (image["State"], image["Name"], image["SourceImageRegion"]) == ("available", "test", "us-east-1")


def test_a_pending_image_keeps_the_tags_that_it_gets(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket)
    with transfers_wait(shop.running):
        image_id = shop.ec2.create_restore_image_task(Bucket=bucket.name, ObjectKey=key, Name="restored")["ImageId"]
        shop.ec2.create_tags(Resources=[image_id], Tags=[{"Key": "late", "Value": "yes"}])

    assert settled_image(shop.ec2, image_id)["Tags"] == [{"Key": "late", "Value": "yes"}]


def test_an_image_that_is_deregistered_while_it_is_restored_leaves_nothing(shop: Shop, bucket: Bucket) -> None:
    key = stored(shop, bucket)
    before = own_snapshots(shop)
    with transfers_wait(shop.running):
        image_id = shop.ec2.create_restore_image_task(Bucket=bucket.name, ObjectKey=key, Name="restored")["ImageId"]
        shop.ec2.deregister_image(ImageId=image_id)

    shop.running.call(shop.running.server.engine.quiet(image_id))

    assert own_snapshots(shop) == before
    assert not (shop.running.home / "transfers" / image_id).exists()


def test_what_is_no_stored_image_fails_and_leaves_nothing(shop: Shop, bucket: Bucket) -> None:
    before = own_snapshots(shop)

    image = restored(shop, bucket, bucket.put("ami-0.bin", b"not an image"))

    assert image["State"] == "failed"
    assert image["StateReason"]["Code"] == "Client.InvalidObject"
    assert own_snapshots(shop) == before
    assert not (shop.running.home / "transfers" / image["ImageId"]).exists()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), 2),
        (("image",), []),
        (("image", "name"), "x"),
        (("image", "architecture"), "vax"),
        (("image", "root_device_name"), "/dev/sdz"),
        (("image", "tags"), {"aws:secret": "1"}),
        (("image", "tags"), {"a": 1}),
        (("image", "uefi_data"), "x" * 100_000),
        (("image", "description"), "x" * 256),
        (("image", "ena_support"), 1),
        (("image", "supported_instance_types"), [1]),
        (("devices",), [{}]),
        (("devices",), {}),
        (("devices", 0, "disk"), 1),
        (("devices", 0, "disk"), True),
        (("devices", 0, "device_name"), "../../etc/passwd"),
        (("devices", 0, "size_gib"), 1),
        (("devices", 0, "volume_type"), "floppy"),
        (("snapshots",), []),
        (("snapshots", 0), {}),
    ],
)
def test_an_object_that_describes_no_image_fails(
    shop: Shop, bucket: Bucket, place: tuple[str | int, ...], value: Any
) -> None:
    pack = json.loads(bucket.read(stored(shop, bucket)))
    before = own_snapshots(shop)
    part = pack["document"]
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value

    image = restored(shop, bucket, bucket.put("changed.bin", json.dumps(pack).encode(), size=None))

    assert image["State"] == "failed"
    assert own_snapshots(shop) == before


def test_an_object_in_the_place_is_not_touched(shop: Shop, bucket: Bucket) -> None:
    key = bucket.put(f"{shop.image_id}.bin", b"mine")

    shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

    task = ended_store(shop.ec2, shop.image_id)
    assert (task["StoreTaskState"], key in task["StoreTaskFailureReason"]) == ("Failed", True)
    assert bucket.read(key).startswith(b"mine")


def test_an_image_is_stored_once_at_a_time_in_a_bucket(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

        with refused("InvalidRequest"):
            shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)


def test_a_store_whose_image_goes_before_its_turn_fails(shop: Shop, bucket: Bucket) -> None:
    with transfers_wait(shop.running):
        shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)
        shop.ec2.deregister_image(ImageId=shop.image_id)

    assert ended_store(shop.ec2, shop.image_id)["StoreTaskState"] == "Failed"
    assert bucket.keys() == set()


def test_a_strangers_image_is_stored_only_when_it_and_its_snapshots_are_shared_by_name(
    shop: Shop, bob: Any, bucket: Bucket, request: pytest.FixtureRequest
) -> None:
    account = shop.running.access_key(f"bob of {request.node.nodeid}").account_id
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]
    with refused("InvalidAMIID.NotFound"):
        bob.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

    shop.ec2.modify_image_attribute(ImageId=shop.image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    with refused("AuthFailure", status=403):
        bob.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

    shop.ec2.modify_image_attribute(ImageId=shop.image_id, LaunchPermission={"Add": [{"UserId": account}]})
    with refused("AuthFailure", status=403):
        bob.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

    permission: Any = {"Add": [{"UserId": account}]}
    shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_of(image), CreateVolumePermission=permission)
    bob.create_store_image_task(ImageId=shop.image_id, Bucket=bucket.name)

    assert ended_store(bob, shop.image_id)["StoreTaskState"] == "Completed"
    assert shop.ec2.describe_store_image_tasks()["StoreImageTaskResults"] == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"ImageId": "ami-01234567890abcdef"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "ami-x"}, "InvalidAMIID.Malformed"),
        ({"Bucket": "there-is-no-such-bucket"}, "InvalidParameter"),
        ({"Bucket": "../up"}, "InvalidParameter"),
        ({"S3ObjectTags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "InvalidParameterValue"),
        ({"S3ObjectTags": [{"Key": "aws:a", "Value": "1"}]}, "InvalidParameterValue"),
        ({"S3ObjectTags": [{"Key": str(n), "Value": "1"} for n in range(11)]}, "InvalidParameterValue"),
        ({"S3ObjectTags": [{"Key": "a", "Value": "1" * 257}]}, "InvalidParameterValue"),
    ],
)
def test_a_store_that_cannot_be_is_refused(shop: Shop, bucket: Bucket, members: Any, code: str) -> None:
    with refused(code):
        shop.ec2.create_store_image_task(**{"ImageId": shop.image_id, "Bucket": bucket.name, **members})


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"ObjectKey": "missing.bin"}, "InvalidParameterValue"),
        ({"Bucket": "there-is-no-such-bucket"}, "InvalidParameterValue"),
        ({"Name": "test"}, "InvalidAMIName.Duplicate"),
        ({"Name": "a&b"}, "InvalidAMIName.Malformed"),
        ({"TagSpecifications": [{"ResourceType": "volume", "Tags": []}]}, "InvalidParameterValue"),
    ],
)
def test_a_restore_that_cannot_be_is_refused(shop: Shop, bucket: Bucket, members: Any, code: str) -> None:
    key = bucket.put("ami-0.bin", b"whatever")

    with refused(code):
        shop.ec2.create_restore_image_task(**{"Bucket": bucket.name, "ObjectKey": key, "Name": "restored", **members})


def test_tasks_are_listed_newest_first_and_found_by_bucket_and_state(shop: Shop, bucket: Bucket) -> None:
    other = Bucket(shop.running, f"other {bucket.name}")
    stored(shop, bucket)
    stored(shop, other)

    def found(**filters: str) -> list[str]:
        wanted: Any = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
        tasks = shop.ec2.describe_store_image_tasks(Filters=wanted)["StoreImageTaskResults"]
        return [task["Bucket"] for task in tasks]

    assert found() == [other.name, bucket.name]
    assert found(bucket=bucket.name) == [bucket.name]
    assert found(task_state="Completed") == [other.name, bucket.name]
    assert found(task_state="Failed") == []
    with refused("InvalidParameterValue"):
        found(name="x")


def test_with_images_the_filters_do_not_count(shop: Shop, bucket: Bucket) -> None:
    stored(shop, bucket)
    wanted: Any = [{"Name": "task-state", "Values": ["Failed"]}]

    found = shop.ec2.describe_store_image_tasks(ImageIds=[shop.image_id], Filters=wanted)["StoreImageTaskResults"]

    assert len(found) == 1


def test_at_most_twenty_images_are_asked_for(shop: Shop) -> None:
    with refused("InvalidParameterValue"):
        shop.ec2.describe_store_image_tasks(ImageIds=[f"ami-{number:017x}" for number in range(21)])
    with refused("InvalidAMIID.NotFound"):
        shop.ec2.describe_store_image_tasks(ImageIds=["ami-01234567890abcdef"])


def test_ended_tasks_are_shown_for_a_month(running: RunningServer, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    shop = Shop(running, "default", disk)
    stored(shop, Bucket(running, "a"))
    tasks = running.server.app.store_image_tasks

    def shown_after(days: int) -> int:
        later = replace(tasks._context, now=lambda: datetime.now(UTC) + timedelta(days=days))
        running.call(StoreImageTasks(later, tasks._images).forget_old())
        return len(shop.ec2.describe_store_image_tasks()["StoreImageTaskResults"])

    assert [shown_after(30), shown_after(32)] == [1, 0]
