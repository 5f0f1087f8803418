"""GetImageAncestry: where images come from, to the first one that is known."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.image_making import account_id, bake, copy, share
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def lineage(ec2: Any, image_id: str) -> list[str]:
    return [entry["ImageId"] for entry in ec2.get_image_ancestry(ImageId=image_id)["ImageAncestryEntries"]]


def test_an_image_that_came_of_no_other_is_its_own_root(shop: Shop) -> None:
    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id])["Images"]

    (entry,) = shop.ec2.get_image_ancestry(ImageId=shop.image_id)["ImageAncestryEntries"]

    assert set(entry) == {"ImageId", "CreationDate"}
    assert entry["ImageId"] == shop.image_id
    assert f"{entry['CreationDate']:%Y-%m-%dT%H:%M:%S.000Z}" == image["CreationDate"]


def test_ancestry_goes_from_the_image_through_copies_and_instances_to_the_root(shop: Shop) -> None:
    baked = bake(shop.ec2, shop.image_id, "baked")
    copied = copy(shop.ec2, baked, "copied")
    again = bake(shop.ec2, copied, "baked again")

    entries = shop.ec2.get_image_ancestry(ImageId=again)["ImageAncestryEntries"]

    assert [(it["ImageId"], it.get("SourceImageId")) for it in entries] == [
        (again, copied),
        (copied, baked),
        (baked, shop.image_id),
        (shop.image_id, None),
    ]
    assert {it.get("SourceImageRegion", "us-east-1") for it in entries} == {"us-east-1"}


def test_ancestry_crosses_regions(shop: Shop) -> None:
    west = shop.running.ec2(shop.name, "us-west-2")
    copied = copy(west, shop.image_id, "copied")

    first, second = west.get_image_ancestry(ImageId=copied)["ImageAncestryEntries"]

    assert (first["SourceImageId"], first["SourceImageRegion"]) == (shop.image_id, "us-east-1")
    assert second["ImageId"] == shop.image_id
    with refused("InvalidAMIID.NotFound"):
        west.get_image_ancestry(ImageId=shop.image_id)


def test_an_ancestor_that_was_deregistered_stays_in_the_list(shop: Shop) -> None:
    baked = bake(shop.ec2, shop.image_id, "baked")
    copied = copy(shop.ec2, baked, "copied")

    shop.ec2.deregister_image(ImageId=baked)

    assert lineage(shop.ec2, copied) == [copied, baked, shop.image_id]
    with refused("InvalidAMIID.NotFound"):
        shop.ec2.get_image_ancestry(ImageId=baked)


def test_ancestors_are_told_of_that_the_caller_may_not_see(shop: Shop, bob: "EC2Client") -> None:
    baked = bake(shop.ec2, shop.image_id, "baked")
    share(shop.ec2, baked, account_id(bob))
    mine = bake(bob, baked, "mine")

    shop.ec2.reset_image_attribute(ImageId=baked, Attribute="launchPermission")

    assert lineage(bob, mine) == [mine, baked, shop.image_id]


def test_ancestry_is_told_to_those_who_may_launch_the_image(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    baked = bake(shop.ec2, shop.image_id, "baked")
    share(shop.ec2, baked, account_id(bob))

    assert lineage(bob, baked) == [baked, shop.image_id]
    with refused("InvalidAMIID.NotFound"):
        carol.get_image_ancestry(ImageId=baked)


def test_ancestry_of_a_disabled_image_is_told_to_its_owner(shop: Shop, bob: "EC2Client") -> None:
    baked = bake(shop.ec2, shop.image_id, "baked")
    share(shop.ec2, baked, account_id(bob))

    shop.ec2.disable_image(ImageId=baked)

    assert lineage(shop.ec2, baked) == [baked, shop.image_id]
    with refused("InvalidAMIID.NotFound"):
        lineage(bob, baked)


def test_a_list_has_fifty_images_at_most(shop: Shop) -> None:
    image_id = shop.image_id
    for number in range(51):
        image_id = copy(shop.ec2, image_id, f"copy {number}")

    entries = shop.ec2.get_image_ancestry(ImageId=image_id)["ImageAncestryEntries"]

    assert len(entries) == 50
    assert "SourceImageId" in entries[-1]


def test_an_id_that_is_none_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidAMIID.Malformed"):
        alice.get_image_ancestry(ImageId="ami-x")


@pytest.mark.parametrize("image_id", ["ami-0123456789abcdef0", "ami-01234567"])
def test_an_image_that_does_not_exist_has_no_ancestry(alice: "EC2Client", image_id: str) -> None:
    with refused("InvalidAMIID.NotFound"):
        alice.get_image_ancestry(ImageId=image_id)
