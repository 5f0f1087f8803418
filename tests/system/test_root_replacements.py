"""Root volume replacement tasks as boto3 sees them."""

import time
from typing import Any

import pytest
from tests.system.recycling import Account
from tests.system.refusals import refused
from tests.system.shop import Shop


def begun(shop: Shop, instance_id: str, **members: Any) -> Any:
    return shop.ec2.create_replace_root_volume_task(InstanceId=instance_id, **members)["ReplaceRootVolumeTask"]


def shown(shop: Shop, task_id: str) -> Any:
    (task,) = shop.ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=[task_id])["ReplaceRootVolumeTasks"]
    return task


def ended(shop: Shop, task: Any) -> Any:
    """Wait until a task has ended and return it."""
    deadline = time.monotonic() + 30
    while (found := shown(shop, task["ReplaceRootVolumeTaskId"]))["TaskState"] in ("pending", "in-progress", "failing"):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def replaced(shop: Shop, instance_id: str, **members: Any) -> Any:
    task = ended(shop, begun(shop, instance_id, **members))
    assert task["TaskState"] == "succeeded"
    return task


def root(shop: Shop, instance_id: str) -> Any:
    """Return the root volume of an instance as DescribeVolumes shows it."""
    instance = shop.describe(instance_id)
    name = instance["RootDeviceName"]
    (device,) = [it for it in instance["BlockDeviceMappings"] if it["DeviceName"] == name]
    return volume(shop, device["Ebs"]["VolumeId"])


def volume(shop: Shop, volume_id: str) -> Any:
    (found,) = shop.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return found


def image_of(shop: Shop, instance_id: str) -> str:
    return shop.ec2.create_image(InstanceId=instance_id, Name="next", NoReboot=True)["ImageId"]


def test_the_answer_is_a_pending_task(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    tags: Any = [{"Key": "a", "Value": "b"}]

    task = begun(shop, instance_id, TagSpecifications=[{"ResourceType": "replace-root-volume-task", "Tags": tags}])

    assert task["ReplaceRootVolumeTaskId"].startswith("replacevol-0")
    assert (task["TaskState"], task["InstanceId"], task["Tags"]) == ("pending", instance_id, tags)
    assert (task["DeleteReplacedRootVolume"], "CompleteTime" in task, task["StartTime"][-1]) == (False, False, "Z")
    ended(shop, task)


def test_a_root_at_its_launch_state_is_another_volume_of_the_same_snapshot(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    before = root(shop, instance_id)

    task = replaced(shop, instance_id)

    after = root(shop, instance_id)
    assert after["VolumeId"] != before["VolumeId"]
    assert after["SnapshotId"] == before["SnapshotId"] == task["SnapshotId"]
    for member in ("Size", "VolumeType", "Iops", "Throughput", "AvailabilityZone"):
        assert after[member] == before[member]
    assert after["Attachments"][0]["DeleteOnTermination"] is True
    assert task["CompleteTime"] >= task["StartTime"]


def test_the_instance_runs_on_with_its_id_and_addresses(shop: Shop) -> None:
    before = shop.launch()

    replaced(shop, before["InstanceId"])

    after = shop.describe(before["InstanceId"])
    for member in ("State", "PrivateIpAddress", "PublicIpAddress", "NetworkInterfaces", "LaunchTime", "ImageId"):
        assert after[member] == before[member]


def test_the_replaced_root_is_kept_and_free(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    before = root(shop, instance_id)

    replaced(shop, instance_id)

    kept = volume(shop, before["VolumeId"])
    assert (kept["State"], kept["Attachments"]) == ("available", [])


def test_the_replaced_root_is_deleted_on_request(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    before = root(shop, instance_id)

    task = begun(shop, instance_id, DeleteReplacedRootVolume=True)
    shop.ec2.get_waiter("volume_deleted").wait(VolumeIds=[before["VolumeId"]], WaiterConfig={"Delay": 1})

    assert ended(shop, task)["DeleteReplacedRootVolume"] is True
    assert root(shop, instance_id)["VolumeId"] != before["VolumeId"]


def test_a_deleted_root_goes_into_the_recycle_bin_that_keeps_it(shop: Shop) -> None:
    Account(shop.running, shop.name).rule("EBS_VOLUME")
    instance_id = shop.launch()["InstanceId"]
    before = root(shop, instance_id)

    task = begun(shop, instance_id, DeleteReplacedRootVolume=True)
    shop.ec2.get_waiter("volume_deleted").wait(VolumeIds=[before["VolumeId"]], WaiterConfig={"Delay": 1})
    ended(shop, task)

    (kept,) = shop.ec2.list_volumes_in_recycle_bin()["Volumes"]
    assert kept["VolumeId"] == before["VolumeId"]


def test_a_snapshot_of_the_root_replaces_it_in_the_roots_size(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    snapshot_id = shop.ec2.create_snapshot(VolumeId=root(shop, instance_id)["VolumeId"])["SnapshotId"]

    task = replaced(shop, instance_id, SnapshotId=snapshot_id)

    assert root(shop, instance_id)["SnapshotId"] == task["SnapshotId"] == snapshot_id


def test_a_snapshot_of_an_earlier_root_may_replace_the_present_one(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    snapshot_id = shop.ec2.create_snapshot(VolumeId=root(shop, instance_id)["VolumeId"])["SnapshotId"]
    replaced(shop, instance_id)

    replaced(shop, instance_id, SnapshotId=snapshot_id)

    assert root(shop, instance_id)["SnapshotId"] == snapshot_id


def test_a_snapshot_of_another_volume_is_refused(shop: Shop) -> None:
    instance_id, other_id = shop.launch()["InstanceId"], shop.launch()["InstanceId"]
    snapshot_id = shop.ec2.create_snapshot(VolumeId=root(shop, other_id)["VolumeId"])["SnapshotId"]

    with refused("InvalidParameterValue"):
        begun(shop, instance_id, SnapshotId=snapshot_id)


def test_a_copy_of_a_snapshot_of_the_root_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    snapshot_id = shop.ec2.create_snapshot(VolumeId=root(shop, instance_id)["VolumeId"])["SnapshotId"]
    copy_id = shop.ec2.copy_snapshot(SourceSnapshotId=snapshot_id, SourceRegion="us-east-1")["SnapshotId"]

    with refused("InvalidParameterValue"):
        begun(shop, instance_id, SnapshotId=copy_id)


def test_an_image_replaces_the_root_and_becomes_the_instances(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    image_id = image_of(shop, instance_id)

    task = replaced(shop, instance_id, ImageId=image_id)

    (image,) = shop.ec2.describe_images(ImageIds=[image_id])["Images"]
    assert (task["ImageId"], shop.describe(instance_id)["ImageId"]) == (image_id, image_id)
    assert root(shop, instance_id)["SnapshotId"] == image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def test_a_root_is_as_large_as_the_image_or_the_former_root_whichever_is_larger(shop: Shop) -> None:
    large: Any = [{"DeviceName": shop.launch()["RootDeviceName"], "Ebs": {"VolumeSize": 12}}]
    small_id, large_id = shop.launch()["InstanceId"], shop.launch(BlockDeviceMappings=large)["InstanceId"]
    image_id = image_of(shop, large_id)

    replaced(shop, small_id, ImageId=image_id)
    replaced(shop, large_id, ImageId=shop.image_id)

    assert (root(shop, small_id)["Size"], root(shop, large_id)["Size"]) == (12, 12)


def test_a_volume_replaces_the_root_as_it_is(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    former_id = root(shop, instance_id)["VolumeId"]
    copy_id = shop.ec2.copy_volumes(SourceVolumeId=former_id, Size=8, VolumeType="gp3", Iops=4000)["Volumes"][0][
        "VolumeId"
    ]

    task = replaced(shop, instance_id, VolumeId=copy_id)

    found = root(shop, instance_id)
    assert (found["VolumeId"], found["Iops"], "SnapshotId" in task) == (copy_id, 4000, False)
    assert found["Attachments"][0]["DeleteOnTermination"] is False


def test_a_root_that_came_of_no_snapshot_has_no_launch_state(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    former_id = root(shop, instance_id)["VolumeId"]
    copy_id = shop.ec2.copy_volumes(SourceVolumeId=former_id)["Volumes"][0]["VolumeId"]
    replaced(shop, instance_id, VolumeId=copy_id)

    with refused("InvalidParameterValue"):
        begun(shop, instance_id)


def test_a_volume_of_another_zone_is_refused(shop: Shop) -> None:
    instance = shop.launch()
    (other,) = {"us-east-1a", "us-east-1b"} - {instance["Placement"]["AvailabilityZone"]}
    volume_id = shop.ec2.create_volume(AvailabilityZone=other, Size=8)["VolumeId"]

    with refused("InvalidVolume.ZoneMismatch"):
        begun(shop, instance["InstanceId"], VolumeId=volume_id)


def test_a_volume_that_is_attached_is_refused(shop: Shop) -> None:
    instance_id, other_id = shop.launch()["InstanceId"], shop.launch()["InstanceId"]

    with refused("VolumeInUse"):
        begun(shop, instance_id, VolumeId=root(shop, other_id)["VolumeId"])


def test_data_volumes_stay(shop: Shop) -> None:
    instance = shop.launch()
    zone = instance["Placement"]["AvailabilityZone"]
    volume_id = shop.ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance["InstanceId"], Device="/dev/sdf")

    replaced(shop, instance["InstanceId"])

    assert volume(shop, volume_id)["Attachments"][0]["State"] == "attached"


def test_a_stopped_instance_keeps_its_root(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    shop.stop(instance_id)

    with refused("IncorrectInstanceState"):
        begun(shop, instance_id)


def test_two_sources_are_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused("InvalidParameterCombination"):
        begun(shop, instance_id, ImageId=shop.image_id, VolumeId="vol-0123456789abcdef0")


def test_a_rate_of_initialization_is_refused(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused("UnsupportedOperation"):
        begun(shop, instance_id, VolumeInitializationRate=100)


def test_a_repeated_client_token_replaces_once(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]

    first, second = (begun(shop, instance_id, ClientToken="once") for _ in range(2))

    assert first["ReplaceRootVolumeTaskId"] == second["ReplaceRootVolumeTaskId"]
    ended(shop, first)


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("SnapshotId", "snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("ImageId", "ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("VolumeId", "vol-0123456789abcdef0", "InvalidVolume.NotFound"),
    ],
)
def test_a_source_that_is_not_there_is_refused(shop: Shop, member: str, value: str, code: str) -> None:
    instance_id = shop.launch()["InstanceId"]

    with refused(code):
        begun(shop, instance_id, **{member: value})


def test_tasks_are_found_by_their_instance_and_come_in_pages(shop: Shop) -> None:
    first_id, second_id = shop.launch()["InstanceId"], shop.launch()["InstanceId"]
    tasks = [replaced(shop, instance_id) for instance_id in (first_id, second_id)]

    filters: Any = [{"Name": "instance-id", "Values": [second_id]}]
    (found,) = shop.ec2.describe_replace_root_volume_tasks(Filters=filters)["ReplaceRootVolumeTasks"]
    pages = shop.ec2.get_paginator("describe_replace_root_volume_tasks").paginate(PaginationConfig={"PageSize": 1})

    assert found["ReplaceRootVolumeTaskId"] == tasks[1]["ReplaceRootVolumeTaskId"]
    assert [len(page["ReplaceRootVolumeTasks"]) for page in pages] == [1, 1]


def test_a_tasks_tags_are_those_of_any_resource(shop: Shop) -> None:
    task = replaced(shop, shop.launch()["InstanceId"])

    shop.ec2.create_tags(Resources=[task["ReplaceRootVolumeTaskId"]], Tags=[{"Key": "a", "Value": "b"}])

    (tag,) = shop.ec2.describe_tags()["Tags"]
    assert (tag["ResourceType"], tag["ResourceId"]) == ("replace-root-volume-task", task["ReplaceRootVolumeTaskId"])


def test_another_accounts_instance_and_tasks_are_not_found(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    task = replaced(shop, instance_id)
    stranger = shop.running.ec2(f"stranger to {shop.name}")

    with refused("InvalidInstanceID.NotFound"):
        stranger.create_replace_root_volume_task(InstanceId=instance_id)
    with refused("InvalidReplaceRootVolumeTaskId.NotFound"):
        stranger.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=[task["ReplaceRootVolumeTaskId"]])
