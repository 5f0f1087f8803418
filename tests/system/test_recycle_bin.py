"""What is in the Recycle Bin, as boto3 sees it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.recycling import Account
from tests.system.refusals import refused

NEW = timedelta(minutes=1)


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"bob of {request.node.nodeid}")


@pytest.fixture
def carol(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"carol of {request.node.nodeid}")


def assert_times(shown: dict[str, Any], days: int) -> None:
    assert abs(shown["RecycleBinEnterTime"] - datetime.now(UTC)) < NEW
    assert shown["RecycleBinExitTime"] - shown["RecycleBinEnterTime"] == timedelta(days=days)


def test_a_deleted_snapshot_is_listed_in_the_bin(alice: Account) -> None:
    alice.rule("EBS_SNAPSHOT", 14)
    volume_id = alice.volume()
    snapshot_id = alice.ec2.create_snapshot(VolumeId=volume_id, Description="of the day")["SnapshotId"]
    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)

    (shown,) = alice.ec2.list_snapshots_in_recycle_bin(SnapshotIds=[snapshot_id])["Snapshots"]

    assert (shown["SnapshotId"], shown["VolumeId"], shown["Description"]) == (snapshot_id, volume_id, "of the day")
    assert_times(dict(shown), 14)


def test_a_deregistered_image_is_listed_in_the_bin(alice: Account) -> None:
    alice.rule("EC2_IMAGE", 365)
    image_id, _ = alice.image("web")
    alice.ec2.deregister_image(ImageId=image_id)

    (shown,) = alice.ec2.list_images_in_recycle_bin(ImageIds=[image_id])["Images"]

    assert (shown["ImageId"], shown["Name"]) == (image_id, "web")
    assert_times(dict(shown), 365)


def test_a_deleted_volume_is_listed_in_the_bin(alice: Account) -> None:
    alice.rule("EBS_VOLUME", 7)
    volume_id = alice.volume()
    (before,) = alice.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    alice.ec2.delete_volume(VolumeId=volume_id)

    (shown,) = alice.ec2.list_volumes_in_recycle_bin(VolumeIds=[volume_id])["Volumes"]

    same = ("VolumeId", "VolumeType", "Size", "Iops", "AvailabilityZone", "AvailabilityZoneId", "CreateTime", "State")
    assert {member: shown.get(member) for member in same} == {member: before.get(member) for member in same}
    assert_times(dict(shown), 7)


def test_what_is_in_the_bin_is_hidden_from_everything_else(alice: Account) -> None:
    for resource_type in ("EBS_SNAPSHOT", "EC2_IMAGE", "EBS_VOLUME"):
        alice.rule(resource_type)
    image_id, snapshot_id = alice.image()
    volume_id = alice.volume()
    alice.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    alice.ec2.delete_volume(VolumeId=volume_id)

    assert alice.ec2.describe_images(Owners=["self"])["Images"] == []
    assert alice.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert volume_id not in [it["VolumeId"] for it in alice.ec2.describe_volumes()["Volumes"]]
    with refused("InvalidAMIID.NotFound"):
        alice.ec2.describe_images(ImageIds=[image_id])
    with refused("InvalidAMIID.NotFound"):
        alice.ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)
    with refused("InvalidAMIID.NotFound"):
        alice.ec2.deregister_image(ImageId=image_id)
    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])
    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)
    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.delete_snapshot(SnapshotId=snapshot_id)
    with refused("InvalidVolume.NotFound"):
        alice.ec2.describe_volumes(VolumeIds=[volume_id])
    with refused("InvalidVolume.NotFound"):
        alice.ec2.create_snapshot(VolumeId=volume_id)
    with refused("InvalidVolume.NotFound"):
        alice.ec2.delete_volume(VolumeId=volume_id)


def test_a_snapshot_comes_back(alice: Account, bob: Account) -> None:
    alice.rule()
    snapshot_id = alice.snapshot(stage="prod")
    alice.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, Attribute="createVolumePermission", OperationType="add", UserIds=[bob.account_id]
    )
    (before,) = alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)
    with refused("InvalidSnapshot.NotFound"):
        bob.ec2.describe_snapshots(SnapshotIds=[snapshot_id])

    answer = alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)

    assert (answer["State"], answer["OwnerId"], answer["VolumeSize"]) == ("recovering", alice.account_id, 1)
    assert alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"] == [before]
    bob.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)
    assert alice.binned_snapshots() == []


def test_an_image_comes_back_when_its_snapshot_is_back(alice: Account) -> None:
    alice.rule("EC2_IMAGE")
    alice.rule("EBS_SNAPSHOT")
    image_id, snapshot_id = alice.image()
    (before,) = alice.ec2.describe_images(ImageIds=[image_id])["Images"]
    removed = alice.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    assert [it["ReturnCode"] for it in removed["DeleteSnapshotResults"]] == ["success"]
    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.restore_image_from_recycle_bin(ImageId=image_id)
    alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)

    assert alice.ec2.restore_image_from_recycle_bin(ImageId=image_id)["Return"]

    assert alice.ec2.describe_images(ImageIds=[image_id])["Images"] == [before]
    alice.ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)


def test_an_image_whose_name_was_taken_meanwhile_does_not_come_back(alice: Account) -> None:
    alice.rule("EC2_IMAGE")
    image_id, _ = alice.image("web")
    alice.ec2.deregister_image(ImageId=image_id)
    other_id, _ = alice.image("web")
    with refused("InvalidAMIName.Duplicate"):
        alice.ec2.restore_image_from_recycle_bin(ImageId=image_id)
    alice.ec2.deregister_image(ImageId=other_id)

    alice.ec2.restore_image_from_recycle_bin(ImageId=image_id)


def test_a_volume_comes_back_and_is_attached_again(alice: Account) -> None:
    alice.rule("EBS_VOLUME", 1)
    volume_id = alice.volume()
    alice.ec2.delete_volume(VolumeId=volume_id)

    assert alice.ec2.restore_volume_from_recycle_bin(VolumeId=volume_id)["Return"]

    (shown,) = alice.ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert shown["State"] == "available"
    image_id, _ = alice.image()
    (instance,) = alice.ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)["Instances"]
    alice.ec2.attach_volume(VolumeId=volume_id, InstanceId=instance["InstanceId"], Device="/dev/sdf")


def test_a_terminated_instance_leaves_its_root_volume_in_the_bin(alice: Account) -> None:
    alice.rule("EBS_VOLUME", 1)
    image_id, _ = alice.image()
    (instance,) = alice.ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)["Instances"]
    instance_id = instance["InstanceId"]

    alice.ec2.terminate_instances(InstanceIds=[instance_id])
    alice.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    (shown,) = alice.ec2.list_volumes_in_recycle_bin()["Volumes"]
    assert shown["State"] == "available"
    alice.ec2.restore_volume_from_recycle_bin(VolumeId=shown["VolumeId"])


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({}, True),
        ({"ResourceTags": [{"ResourceTagKey": "stage", "ResourceTagValue": "prod"}]}, True),
        ({"ResourceTags": [{"ResourceTagKey": "stage", "ResourceTagValue": "test"}]}, False),
        ({"ExcludeResourceTags": [{"ResourceTagKey": "stage", "ResourceTagValue": "prod"}]}, False),
        ({"ExcludeResourceTags": [{"ResourceTagKey": "stage", "ResourceTagValue": "test"}]}, True),
    ],
)
def test_a_rule_keeps_what_its_tags_say(alice: Account, rule: dict[str, Any], *, kept: bool) -> None:
    alice.rule(**rule)
    snapshot_id = alice.snapshot(stage="prod")

    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)

    assert alice.binned_snapshots() == ([snapshot_id] if kept else [])


def test_rules_that_change_or_go_change_nothing_in_the_bin(alice: Account) -> None:
    rule_id = alice.rule("EBS_SNAPSHOT", 30)["Identifier"]
    snapshot_id = alice.snapshot()
    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)
    before = alice.ec2.list_snapshots_in_recycle_bin()["Snapshots"]
    period = {"RetentionPeriodValue": 1, "RetentionPeriodUnit": "DAYS"}

    alice.rbin.update_rule(Identifier=rule_id, RetentionPeriod=period)
    alice.rbin.delete_rule(Identifier=rule_id)

    assert alice.ec2.list_snapshots_in_recycle_bin()["Snapshots"] == before


def test_what_is_in_the_bin_is_tagged_and_says_where_it_is(alice: Account) -> None:
    alice.rule()
    snapshot_id = alice.snapshot(stage="prod", gone="soon")
    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)

    alice.ec2.create_tags(Resources=[snapshot_id], Tags=[{"Key": "note", "Value": "a mistake"}])
    alice.ec2.delete_tags(Resources=[snapshot_id], Tags=[{"Key": "gone"}])
    found = alice.ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [snapshot_id]}])["Tags"]
    in_bin = {tag["Key"]: tag["Value"] for tag in found}
    alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)

    assert in_bin == {"stage": "prod", "note": "a mistake", "aws:recycle-bin:resource-in-bin": "true"}
    (shown,) = alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert {tag["Key"] for tag in shown["Tags"]} == {"stage", "note"}


def test_what_is_due_goes_for_good(alice: Account) -> None:
    alice.rule("EBS_SNAPSHOT", 2)
    alice.rule("EBS_VOLUME", 1)
    snapshot_id, volume_id = alice.snapshot(), alice.volume()
    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)
    alice.ec2.delete_volume(VolumeId=volume_id)

    alice.delete_due_after(days=1)
    assert alice.ec2.list_volumes_in_recycle_bin()["Volumes"] == []
    assert alice.binned_snapshots() == [snapshot_id]
    alice.delete_due_after(days=1)

    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)
    with refused("InvalidVolume.NotFound"):
        alice.ec2.restore_volume_from_recycle_bin(VolumeId=volume_id)


def test_the_bin_is_listed_in_pages(alice: Account) -> None:
    for resource_type in ("EBS_SNAPSHOT", "EC2_IMAGE", "EBS_VOLUME"):
        alice.rule(resource_type)
    images = [alice.image(f"image {number}")[0] for number in range(7)]
    for image_id in images:
        alice.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
    volumes = [it["VolumeId"] for it in alice.ec2.describe_volumes()["Volumes"]]
    for volume_id in volumes:
        alice.ec2.delete_volume(VolumeId=volume_id)

    shown = alice.ec2.get_paginator("list_images_in_recycle_bin").paginate(PaginationConfig={"PageSize": 2})
    assert [it["ImageId"] for page in shown for it in page["Images"]] == images
    snapshots = alice.ec2.get_paginator("list_snapshots_in_recycle_bin").paginate(PaginationConfig={"PageSize": 5})
    assert [len(page["Snapshots"]) for page in snapshots] == [5, 2]
    first = alice.ec2.list_volumes_in_recycle_bin(MaxResults=5)
    second = alice.ec2.list_volumes_in_recycle_bin(MaxResults=5, NextToken=first["NextToken"])
    assert [it["VolumeId"] for page in (first, second) for it in page["Volumes"]] == volumes
    assert "NextToken" not in second


@pytest.mark.parametrize(
    ("operation", "members", "code"),
    [
        ("list_images_in_recycle_bin", {"ImageIds": ["ami-0123456789abcdef0"]}, "InvalidAMIID.NotFound"),
        ("list_images_in_recycle_bin", {"ImageIds": ["web"]}, "InvalidAMIID.Malformed"),
        ("list_images_in_recycle_bin", {"ImageIds": ["ami-0123456789abcdef0"] * 21}, "InvalidParameterValue"),
        ("list_images_in_recycle_bin", {"NextToken": "x"}, "InvalidNextToken"),
        ("list_snapshots_in_recycle_bin", {"SnapshotIds": ["snap-0123456789abcdef0"]}, "InvalidSnapshot.NotFound"),
        ("list_snapshots_in_recycle_bin", {"SnapshotIds": ["snap-x"]}, "InvalidSnapshotID.Malformed"),
        ("list_snapshots_in_recycle_bin", {"NextToken": "x"}, "InvalidNextToken"),
        ("list_volumes_in_recycle_bin", {"VolumeIds": ["vol-0123456789abcdef0"]}, "InvalidVolume.NotFound"),
        ("list_volumes_in_recycle_bin", {"VolumeIds": ["snap-0123456789abcdef0"]}, "InvalidParameterValue"),
        ("list_volumes_in_recycle_bin", {"MaxResults": 4}, "InvalidParameterValue"),
        ("list_volumes_in_recycle_bin", {"MaxResults": 501}, "InvalidParameterValue"),
        ("restore_image_from_recycle_bin", {"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ("restore_image_from_recycle_bin", {"ImageId": "vol-0123456789abcdef0"}, "InvalidAMIID.Malformed"),
        ("restore_snapshot_from_recycle_bin", {"SnapshotId": "snap-0123456789abcdef0"}, "InvalidSnapshot.NotFound"),
        ("restore_volume_from_recycle_bin", {"VolumeId": "vol-0123456789abcdef0"}, "InvalidVolume.NotFound"),
    ],
)
def test_what_names_nothing_in_the_bin_is_refused(
    alice: Account, operation: str, members: dict[str, Any], code: str
) -> None:
    with refused(code):
        getattr(alice.ec2, operation)(**members)


def test_what_is_not_deleted_is_not_in_the_bin(alice: Account) -> None:
    alice.rule()
    snapshot_id = alice.snapshot()

    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)


def test_nobody_sees_or_restores_what_is_in_anothers_bin(alice: Account, bob: Account, carol: Account) -> None:
    accounts = (alice, bob, carol)
    things: dict[str, tuple[str, str, str]] = {}
    for account in accounts:
        for resource_type in ("EBS_SNAPSHOT", "EC2_IMAGE", "EBS_VOLUME"):
            account.rule(resource_type)
        image_id, snapshot_id = account.image()
        # Even what was public and shared is its owner's alone in the bin.
        account.ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
        account.ec2.modify_snapshot_attribute(
            SnapshotId=snapshot_id, CreateVolumePermission={"Add": [{"Group": "all"}]}
        )
        volume_id = account.volume()
        account.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
        account.ec2.delete_volume(VolumeId=volume_id)
        things[account.account_id] = image_id, snapshot_id, volume_id

    for account in accounts:
        image_id, snapshot_id, volume_id = things[account.account_id]
        assert [it["ImageId"] for it in account.ec2.list_images_in_recycle_bin()["Images"]] == [image_id]
        assert account.binned_snapshots() == [snapshot_id]
        assert [it["VolumeId"] for it in account.ec2.list_volumes_in_recycle_bin()["Volumes"]] == [volume_id]
        for other in accounts:
            if other is not account:
                with refused("InvalidAMIID.NotFound"):
                    other.ec2.restore_image_from_recycle_bin(ImageId=image_id)
                with refused("InvalidSnapshot.NotFound"):
                    other.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)
                with refused("InvalidVolume.NotFound"):
                    other.ec2.list_volumes_in_recycle_bin(VolumeIds=[volume_id])
                with refused("InvalidSnapshot.NotFound"):
                    other.ec2.create_tags(Resources=[snapshot_id], Tags=[{"Key": "a", "Value": "b"}])


def test_the_bin_of_another_region_is_another(
    alice: Account, shared: RunningServer, request: pytest.FixtureRequest
) -> None:
    elsewhere = Account(shared, f"alice of {request.node.nodeid}", "eu-west-1")
    elsewhere.rule()
    here, there = alice.snapshot(), elsewhere.snapshot()
    alice.ec2.delete_snapshot(SnapshotId=here)
    elsewhere.ec2.delete_snapshot(SnapshotId=there)

    assert alice.binned_snapshots() == []
    assert elsewhere.binned_snapshots() == [there]
    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=there)
