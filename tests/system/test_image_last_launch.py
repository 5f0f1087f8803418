"""LastLaunchedTime: when an image was last used, by whomever; told to its owner."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.system.image_making import account_id, copy, described, launch, share
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def attribute(ec2: Any, image_id: str) -> str | None:
    answer = ec2.describe_image_attribute(ImageId=image_id, Attribute="lastLaunchedTime")
    value: str | None = answer["LastLaunchedTime"].get("Value")
    return value


def launched_at(ec2: Any, instance_id: str) -> str:
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return f"{reservation['Instances'][0]['LaunchTime']:%Y-%m-%dT%H:%M:%S.000Z}"


def test_an_image_that_was_never_launched_has_no_time(shop: Shop) -> None:
    assert "LastLaunchedTime" not in described(shop.ec2, shop.image_id)
    assert attribute(shop.ec2, shop.image_id) is None


def test_the_owner_is_told_of_a_launch_in_both_places(shop: Shop) -> None:
    at = launched_at(shop.ec2, launch(shop.ec2, shop.image_id))

    assert described(shop.ec2, shop.image_id)["LastLaunchedTime"] == at
    assert attribute(shop.ec2, shop.image_id) == at


def test_a_launch_by_another_account_counts_and_only_the_owner_is_told(shop: Shop, bob: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_id(bob))

    at = launched_at(bob, launch(bob, shop.image_id))

    assert described(shop.ec2, shop.image_id)["LastLaunchedTime"] == at
    assert "LastLaunchedTime" not in described(bob, shop.image_id)
    with refused("AuthFailure", status=403):
        attribute(bob, shop.image_id)


def test_every_launch_counts(shop: Shop) -> None:
    launch(shop.ec2, shop.image_id)
    shop.running.call(_long_ago(shop))
    assert described(shop.ec2, shop.image_id)["LastLaunchedTime"].startswith("2020-")

    at = launched_at(shop.ec2, launch(shop.ec2, shop.image_id))

    assert described(shop.ec2, shop.image_id)["LastLaunchedTime"] == at


def test_a_refused_launch_and_a_copy_do_not_count(shop: Shop) -> None:
    with refused("InvalidParameterValue"):
        launch(shop.ec2, shop.image_id, InstanceType="a1.medium")

    copied = copy(shop.ec2, shop.image_id, "copied")

    assert attribute(shop.ec2, shop.image_id) is None
    assert attribute(shop.ec2, copied) is None


async def _long_ago(shop: Shop) -> None:
    store = shop.running.server.context.store
    async with store.transaction() as tx:
        tx.put(replace(store.images[shop.image_id], last_launched_at=datetime(2020, 1, 1, tzinfo=UTC)))
