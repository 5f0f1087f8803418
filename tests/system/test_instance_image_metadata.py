"""DescribeInstanceImageMetadata: what instances were launched from, whatever has become of it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.system.image_making import account_id, copy, described, launch, share, share_storage
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def rows(ec2: Any, **how: Any) -> list[Any]:
    return list(ec2.describe_instance_image_metadata(**how)["InstanceImageMetadata"])


def image_of(ec2: Any, instance_id: str) -> Any:
    (row,) = rows(ec2, InstanceIds=[instance_id])
    return row["ImageMetadata"]


def where(name: str, *values: str) -> Any:
    return [{"Name": name, "Values": list(values)}]


def test_an_instance_is_shown_with_its_image(shop: Shop) -> None:
    shop.ec2.attach_image_watermark(ImageId=shop.image_id, WatermarkName="approved")
    tags: Any = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}]
    instance_id = launch(shop.ec2, shop.image_id, InstanceType="t3.micro", TagSpecifications=tags)
    instance, image = shop.describe(instance_id), described(shop.ec2, shop.image_id)

    (row,) = rows(shop.ec2, InstanceIds=[instance_id])

    assert row == {
        "InstanceId": instance_id,
        "InstanceType": "t3.micro",
        "LaunchTime": instance["LaunchTime"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "ZoneId": row["ZoneId"],
        "State": {"Code": 16, "Name": "running"},
        "OwnerId": shop.account_id,
        "Tags": [{"Key": "Name", "Value": "web"}],
        "ImageMetadata": {
            "ImageId": shop.image_id,
            "Name": "test",
            "OwnerId": shop.account_id,
            "State": "available",
            "CreationDate": image["CreationDate"],
            "ImageAllowed": True,
            "IsPublic": False,
            "ImageWatermarks": image["ImageWatermarks"],
        },
        "Operator": {"Managed": False},
    }
    zones = shop.ec2.describe_availability_zones(ZoneNames=[row["AvailabilityZone"]])["AvailabilityZones"]
    assert row["ZoneId"] == zones[0]["ZoneId"]


def test_an_image_that_was_deregistered_is_shown_as_it_was(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, "all")
    instance_id = launch(bob, shop.image_id)
    before = image_of(bob, instance_id)

    shop.ec2.deregister_image(ImageId=shop.image_id)

    assert image_of(bob, instance_id) == {**before, "State": "deregistered"}
    assert (before["OwnerId"], before["IsPublic"]) == (shop.account_id, True)


def test_a_disabled_image_is_shown_as_disabled(shop: Shop) -> None:
    instance_id = launch(shop.ec2, shop.image_id)

    shop.ec2.disable_image(ImageId=shop.image_id)

    assert image_of(shop.ec2, instance_id)["State"] == "disabled"


def test_a_deprecated_image_says_since_when(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, "all")
    instance_id = launch(bob, shop.image_id)
    soon = datetime.now(UTC) + timedelta(days=1)

    shop.ec2.enable_image_deprecation(ImageId=shop.image_id, DeprecateAt=soon)

    assert image_of(bob, instance_id)["DeprecationTime"] == described(bob, shop.image_id)["DeprecationTime"]


def test_an_image_that_is_not_shared_any_more_is_still_shown(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_id(bob))
    instance_id = launch(bob, shop.image_id)

    shop.ec2.reset_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")

    assert image_of(bob, instance_id)["Name"] == "test"


def test_images_that_an_account_does_not_allow_itself_are_told_apart(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_id(bob))
    share_storage(shop.ec2, shop.image_id, account_id(bob))
    theirs = launch(bob, shop.image_id)
    mine = launch(bob, copy(bob, shop.image_id, "mine"))

    bob.enable_allowed_images_settings(AllowedImagesSettingsState="enabled")

    assert (image_of(bob, theirs)["ImageAllowed"], image_of(bob, mine)["ImageAllowed"]) == (False, True)
    assert [row["InstanceId"] for row in rows(bob, Filters=where("image-allowed", "false"))] == [theirs]
    assert [row["InstanceId"] for row in rows(bob, Filters=where("image-allowed", "true"))] == [mine]
    bob.disable_allowed_images_settings()
    assert image_of(bob, theirs)["ImageAllowed"] is True


def test_an_image_of_which_nothing_was_kept_is_named(shop: Shop) -> None:
    instance_id = launch(shop.ec2, shop.image_id)
    shop.ec2.deregister_image(ImageId=shop.image_id)
    shop.running.call(_forget(shop))

    assert image_of(shop.ec2, instance_id) == {"ImageId": shop.image_id, "State": "deregistered"}
    assert rows(shop.ec2, Filters=where("owner-id", shop.account_id)) == []


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("availability-zone", "us-east-1?", 2),
        ("availability-zone", "us-west-1a", 0),
        ("image-allowed", "true", 2),
        ("image-allowed", "false", 0),
        ("instance-id", "{running}", 1),
        ("instance-state-name", "running", 1),
        ("instance-state-name", "stopped", 1),
        ("instance-type", "t3.micro", 1),
        ("launch-time", "20*Z", 2),
        ("launch-time", "1999-*", 0),
        ("owner-alias", "amazon", 0),
        ("owner-id", "{owner}", 2),
        ("owner-id", "123456789012", 0),
        ("tag:Name", "web", 1),
        ("tag:Name", "db", 0),
        ("tag-key", "Name", 1),
        ("zone-id", "use1-az*", 2),
        ("zone-id", "{none}", 0),
    ],
)
def test_instances_are_filtered(shop: Shop, name: str, value: str, number: int) -> None:
    tags: Any = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}]
    running = launch(shop.ec2, shop.image_id, InstanceType="t3.micro", TagSpecifications=tags)
    shop.stop(launch(shop.ec2, shop.image_id, InstanceType="t3.small"))
    wanted = value.format(running=running, owner=shop.account_id, none="none")

    assert len(rows(shop.ec2, Filters=where(name, wanted))) == number


def test_an_unknown_filter_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        rows(alice, Filters=where("image-id", "ami-0123456789abcdef0"))


def test_instances_come_in_pages_of_any_size(shop: Shop) -> None:
    made = shop.launch_ids(MinCount=3, MaxCount=3)
    client: Any = shop.ec2

    first = client.describe_instance_image_metadata(MaxResults=2)
    rest = client.describe_instance_image_metadata(MaxResults=2, NextToken=first["NextToken"])

    shown = first["InstanceImageMetadata"] + rest["InstanceImageMetadata"]
    assert [row["InstanceId"] for row in shown] == made
    assert "NextToken" not in rest
    with refused("InvalidParameterValue"):
        client.describe_instance_image_metadata(MaxResults=1001)
    with refused("InvalidNextToken"):
        client.describe_instance_image_metadata(NextToken=first["NextToken"], Filters=where("tag-key", "a"))


def test_each_account_sees_its_own_instances(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_id(bob))
    mine, bobs = launch(shop.ec2, shop.image_id), launch(bob, shop.image_id)

    assert [row["InstanceId"] for row in rows(shop.ec2)] == [mine]
    assert [row["InstanceId"] for row in rows(bob)] == [bobs]
    assert rows(carol) == rows(shop.running.ec2(shop.name, "us-west-2")) == []
    with refused("InvalidInstanceID.NotFound"):
        rows(bob, InstanceIds=[mine])
    with refused("InvalidInstanceID.NotFound"):
        rows(bob, InstanceIds=["i-0123456789abcdef0"])
    with refused("InvalidInstanceID.Malformed"):
        rows(bob, InstanceIds=["i-x"])


async def _forget(shop: Shop) -> None:
    """Forget an image as an earlier version did."""
    store = shop.running.server.context.store
    async with store.transaction() as tx:
        tx.delete(store.deregistered_images[shop.image_id])
