"""Volumes and snapshots as boto3 sees them."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.system.shop import Shop, refusal


def volume(shop: Shop, **members: Any) -> dict[str, Any]:
    """Create a volume and return the answer."""
    given: dict[str, Any] = {"AvailabilityZone": "us-east-1a", "Size": 1, "VolumeType": "gp3", **members}
    return dict(shop.ec2.create_volume(**given))


def described(shop: Shop, volume_id: str) -> dict[str, Any]:
    (shown,) = shop.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    return dict(shown)


def found(shop: Shop, name: str, value: str) -> list[str]:
    """Return the ids of the volumes that a filter finds."""
    volumes = shop.ec2.describe_volumes(Filters=[{"Name": name, "Values": [value]}])["Volumes"]
    return [it["VolumeId"] for it in volumes]


def test_waiters_of_a_volumes_life_never_wait(shop: Shop) -> None:
    ec2 = shop.ec2
    once: Any = {"MaxAttempts": 1}
    instance_id, volume_id = shop.launch()["InstanceId"], volume(shop)["VolumeId"]

    ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig=once)
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")
    ec2.get_waiter("volume_in_use").wait(VolumeIds=[volume_id], WaiterConfig=once)
    snapshot_id = ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig=once)
    ec2.detach_volume(VolumeId=volume_id)
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig=once)
    ec2.delete_volume(VolumeId=volume_id)
    ec2.get_waiter("volume_deleted").wait(VolumeIds=[volume_id], WaiterConfig=once)


def test_a_created_volume_is_answered_in_full(shop: Shop) -> None:
    answer = volume(
        shop,
        Encrypted=False,
        MultiAttachEnabled=False,
        TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}],
    )

    assert (answer["State"], answer["Size"], answer["VolumeType"], answer["SnapshotId"]) == ("creating", 1, "gp3", "")
    assert (answer["Iops"], answer["Throughput"], answer["Encrypted"]) == (3000, 125, False)
    assert answer["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_volume_without_type_is_gp2(shop: Shop) -> None:
    answer = shop.ec2.create_volume(AvailabilityZone="us-east-1a", Size=50)

    assert (answer["VolumeType"], answer["Iops"]) == ("gp2", 150)


def test_a_zone_can_be_named_by_its_id(shop: Shop) -> None:
    answer = shop.ec2.create_volume(AvailabilityZoneId="use1-az2", Size=1)

    assert answer["AvailabilityZone"] == "us-east-1b"


def test_a_repeated_client_token_makes_one_volume(shop: Shop) -> None:
    first, second = (volume(shop, ClientToken="once")["VolumeId"] for _ in range(2))

    assert first == second


def test_a_client_token_with_other_parameters_is_refused(shop: Shop) -> None:
    volume(shop, ClientToken="once")

    with pytest.raises(ClientError) as error:
        volume(shop, ClientToken="once", Size=2)

    assert refusal(error) == "IdempotentParameterMismatch"


@pytest.mark.parametrize("members", [{"MultiAttachEnabled": True}])
def test_what_is_not_honoured_is_refused(shop: Shop, members: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as error:
        volume(shop, **members)

    assert refusal(error) == "UnsupportedOperation"


def test_an_attachment_is_answered_attaching_and_shown_attached(shop: Shop) -> None:
    instance_id, volume_id = shop.launch()["InstanceId"], volume(shop)["VolumeId"]

    answer = shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")

    (shown,) = described(shop, volume_id)["Attachments"]
    assert (answer["State"], answer["Device"], answer["InstanceId"]) == ("attaching", "/dev/sdf", instance_id)
    assert (shown["State"], shown["DeleteOnTermination"]) == ("attached", False)
    devices = [it["DeviceName"] for it in shop.describe(instance_id)["BlockDeviceMappings"]]
    assert devices == ["/dev/xvda", "/dev/sdf"]


def test_filters_find_volumes_by_what_they_are_attached_to(shop: Shop) -> None:
    instance_id, volume_id = shop.launch()["InstanceId"], volume(shop)["VolumeId"]
    shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")

    assert len(found(shop, "attachment.instance-id", instance_id)) == 2
    assert found(shop, "attachment.device", "/dev/sdf") == [volume_id]
    assert found(shop, "attachment.delete-on-termination", "false") == [volume_id]
    assert found(shop, "attachment.status", "attaching") == []


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("availability-zone", "us-east-1a", "us-east-1b"),
        ("availability-zone-id", "use1-az1", "use1-az2"),
        ("create-time", "20*", "19*"),
        ("encrypted", "false", "true"),
        ("multi-attach-enabled", "false", "true"),
        ("size", "1", "2"),
        ("status", "available", "in-use"),
        ("tag:a", "b", "c"),
        ("tag-key", "a", "b"),
        ("volume-type", "gp3", "gp2"),
    ],
)
def test_a_filter_takes_what_is_so_and_nothing_else(shop: Shop, name: str, value: str, other: str) -> None:
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]
    volume_id = volume(shop, TagSpecifications=tags)["VolumeId"]

    assert (found(shop, name, value), found(shop, name, other)) == ([volume_id], [])


def test_volumes_come_in_pages(shop: Shop) -> None:
    made = {volume(shop)["VolumeId"] for _ in range(6)}

    pages = list(shop.ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5}))

    assert [len(page["Volumes"]) for page in pages] == [5, 1]
    assert {it["VolumeId"] for page in pages for it in page["Volumes"]} == made


def test_a_malformed_volume_id_is_refused(shop: Shop) -> None:
    with pytest.raises(ClientError) as error:
        described(shop, "disk")

    assert refusal(error) == "InvalidParameterValue"


def test_the_root_of_a_running_instance_stays(shop: Shop) -> None:
    instance_id = shop.launch()["InstanceId"]
    (root,) = found(shop, "attachment.instance-id", instance_id)

    with pytest.raises(ClientError) as error:
        shop.ec2.detach_volume(VolumeId=root)

    assert refusal(error) == "OperationNotPermitted"


def test_a_snapshot_is_answered_pending_and_shown_completed(shop: Shop) -> None:
    volume_id = volume(shop)["VolumeId"]
    tags: Any = [{"Key": "a", "Value": "b"}]

    answer = shop.ec2.create_snapshot(
        VolumeId=volume_id, Description="first", TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}]
    )

    (shown,) = shop.ec2.describe_snapshots(SnapshotIds=[answer["SnapshotId"]])["Snapshots"]
    assert (answer["State"], answer["VolumeSize"]) == ("pending", 1)
    assert (shown["State"], shown["Progress"], shown["Description"]) == ("completed", "100%", "first")
    assert (shown["VolumeId"], shown["StorageTier"], shown["Tags"]) == (volume_id, "standard", tags)


def test_snapshots_of_an_instance_share_description_and_tags(shop: Shop) -> None:
    instance_id, volume_id = shop.launch()["InstanceId"], volume(shop)["VolumeId"]
    shop.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")

    answer = shop.ec2.create_snapshots(
        Description="both",
        InstanceSpecification={"InstanceId": instance_id, "ExcludeBootVolume": False},
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "a", "Value": "b"}]}],
    )

    assert [it["Description"] for it in answer["Snapshots"]] == ["both", "both"]
    assert all(it["Tags"] == [{"Key": "a", "Value": "b"}] for it in answer["Snapshots"])


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("description", "fir*", "second"),
        ("encrypted", "false", "true"),
        ("progress", "100%", "50%"),
        ("start-time", "20*", "19*"),
        ("status", "completed", "error"),
        ("storage-tier", "standard", "archive"),
        ("volume-size", "1", "2"),
    ],
)
def test_a_snapshot_filter_takes_what_is_so_and_nothing_else(shop: Shop, name: str, value: str, other: str) -> None:
    volume_id = volume(shop)["VolumeId"]
    made = shop.ec2.create_snapshot(VolumeId=volume_id, Description="first")["SnapshotId"]

    def snapshots(wanted: str) -> list[str]:
        filters = [{"Name": name, "Values": [wanted]}, {"Name": "volume-id", "Values": [volume_id]}]
        return [it["SnapshotId"] for it in shop.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]]  # type: ignore[arg-type] # as boto3 takes them

    assert (snapshots(value), snapshots(other)) == ([made], [])


def test_a_snapshot_that_an_image_names_is_in_use(shop: Shop) -> None:
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]

    with pytest.raises(ClientError) as error:
        shop.ec2.delete_snapshot(SnapshotId=image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"])

    assert refusal(error) == "InvalidSnapshot.InUse"


def test_a_deleted_snapshot_is_not_found(shop: Shop) -> None:
    snapshot_id = shop.ec2.create_snapshot(VolumeId=volume(shop)["VolumeId"])["SnapshotId"]
    shop.ec2.delete_snapshot(SnapshotId=snapshot_id)

    with pytest.raises(ClientError) as error:
        shop.ec2.describe_snapshots(SnapshotIds=[snapshot_id])

    assert refusal(error) == "InvalidSnapshot.NotFound"


def test_the_answer_that_reserves_a_snapshot_tells_of_no_progress_yet(shop: Shop) -> None:
    """Source: EC2 CLI examples, `create-snapshot`."""
    snapshot = shop.ec2.create_snapshot(VolumeId=volume(shop)["VolumeId"])

    (shown,) = shop.ec2.describe_snapshots(SnapshotIds=[snapshot["SnapshotId"]])["Snapshots"]
    assert (snapshot["State"], snapshot["Progress"]) == ("pending", "")
    assert (shown["State"], shown["Progress"]) == ("completed", "100%")


def test_a_snapshot_is_shared_and_made_private_again(shop: Shop) -> None:
    ec2, snapshot_id = shop.ec2, shop.ec2.create_snapshot(VolumeId=volume(shop)["VolumeId"])["SnapshotId"]

    def shared_with() -> Any:
        shown = ec2.describe_snapshot_attribute(SnapshotId=snapshot_id, Attribute="createVolumePermission")
        return shown["CreateVolumePermissions"]

    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, OperationType="add", UserIds=["111122223333"], GroupNames=["all"]
    )
    ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, CreateVolumePermission={"Remove": [{"Group": "all"}]})
    after_removal = shared_with()
    ec2.reset_snapshot_attribute(SnapshotId=snapshot_id, Attribute="createVolumePermission")

    assert (after_removal, shared_with()) == ([{"UserId": "111122223333"}], [])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "InvalidParameterCombination"),
        (
            {"CreateVolumePermission": {"Add": [{"UserId": "111122223333"}], "Remove": [{"Group": "all"}]}},
            "InvalidParameterCombination",
        ),
        ({"OperationType": "add", "UserIds": [f"{number:012}" for number in range(501)]}, "InvalidParameterValue"),
    ],
    ids=["nothing", "both ways", "501 accounts"],
)
def test_what_one_change_of_sharing_cannot_do_is_refused(shop: Shop, change: dict[str, Any], code: str) -> None:
    snapshot_id = shop.ec2.create_snapshot(VolumeId=volume(shop)["VolumeId"])["SnapshotId"]

    with pytest.raises(ClientError) as error:
        shop.ec2.modify_snapshot_attribute(SnapshotId=snapshot_id, **change)

    assert refusal(error) == code


def test_more_tags_than_a_resource_may_have_are_refused(shop: Shop) -> None:
    tags: Any = [{"Key": f"key-{number}", "Value": "x"} for number in range(51)]

    with pytest.raises(ClientError) as error:
        volume(shop, TagSpecifications=[{"ResourceType": "volume", "Tags": tags}])

    assert refusal(error) == "TagLimitExceeded"
