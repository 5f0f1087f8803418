"""Watermarks: attached by an image's owner, seen by everybody who sees the image, inherited by what comes of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.system.image_making import (
    account_id,
    bake,
    bake_instance,
    copy,
    described,
    launch,
    share,
    share_storage,
)
from tests.system.refusals import refused
from tests.system.shop import Shop
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def attach(ec2: Any, image_id: str, name: str = "approved") -> str:
    return str(ec2.attach_image_watermark(ImageId=image_id, WatermarkName=name)["WatermarkKey"])


def detach(ec2: Any, image_id: str, key: str) -> bool:
    return bool(ec2.detach_image_watermark(ImageId=image_id, WatermarkKey=key)["Return"])


def keys(ec2: Any, image_id: str) -> list[str]:
    return [watermark["WatermarkKey"] for watermark in described(ec2, image_id).get("ImageWatermarks", [])]


def found(ec2: Any, name: str, *values: str) -> list[str]:
    wanted = [{"Name": name, "Values": list(values)}]
    return [image["ImageId"] for image in ec2.describe_images(Filters=wanted)["Images"]]


def test_a_watermark_says_who_attached_it_to_what_and_when(shop: Shop) -> None:
    before = datetime.now(UTC)

    key = attach(shop.ec2, shop.image_id, "approved (1.0) [x] a/b-c_d@e'f")

    image = described(shop.ec2, shop.image_id)
    (watermark,) = image["ImageWatermarks"]
    assert key == f"{shop.account_id}:approved (1.0) [x] a/b-c_d@e'f"
    assert watermark["WatermarkKey"] == key
    assert (watermark["SourceImageId"], watermark["SourceImageRegion"]) == (shop.image_id, "us-east-1")
    assert f"{watermark['SourceImageCreationTime']:%Y-%m-%dT%H:%M:%S.000Z}" == image["CreationDate"]
    assert abs((watermark["WatermarkCreationTime"] - before).total_seconds()) < 60


def test_a_watermark_that_is_attached_again_stays_as_it_was(shop: Shop) -> None:
    key = attach(shop.ec2, shop.image_id)
    before = described(shop.ec2, shop.image_id)

    assert attach(shop.ec2, shop.image_id) == key
    assert described(shop.ec2, shop.image_id) == before


@pytest.mark.parametrize("name", ["ab", "a" * 129, "approved!", "ä-name", "a:b", "a*b"])
def test_a_name_that_no_watermark_may_have_is_refused(shop: Shop, name: str) -> None:
    wire = Wire(shop.running, shop.name)

    answer = wire.ask("AttachImageWatermark", {"ImageId": shop.image_id, "WatermarkName": name})

    assert (answer.status, answer.code) == (400, "InvalidParameterValue")
    assert keys(shop.ec2, shop.image_id) == []


def test_an_image_has_five_watermarks_at_most(shop: Shop) -> None:
    for number in range(5):
        attach(shop.ec2, shop.image_id, f"mark {number}")

    with refused("ResourceLimitExceeded"):
        attach(shop.ec2, shop.image_id, "one more")
    assert len(keys(shop.ec2, shop.image_id)) == 5


def test_a_public_image_gets_no_watermark(shop: Shop) -> None:
    share(shop.ec2, shop.image_id, "all")

    with refused("OperationNotPermitted"):
        attach(shop.ec2, shop.image_id)


def test_an_image_with_a_watermark_does_not_become_public(shop: Shop, bob: "EC2Client") -> None:
    key = attach(shop.ec2, shop.image_id)

    with refused("OperationNotPermitted"):
        share(shop.ec2, shop.image_id, "all")
    with refused("InvalidAMIID.NotFound"):
        described(bob, shop.image_id)
    detach(shop.ec2, shop.image_id, key)
    share(shop.ec2, shop.image_id, "all")
    assert described(bob, shop.image_id)["Public"] is True


def test_an_image_that_failed_gets_no_watermark(shop: Shop) -> None:
    failed = _failed(shop)

    with refused("InvalidAMIID.Unavailable"):
        attach(shop.ec2, failed)
    assert described(shop.ec2, failed)["State"] == "failed"
    assert keys(shop.ec2, failed) == []


def test_a_disabled_image_can_be_marked(shop: Shop) -> None:
    shop.ec2.disable_image(ImageId=shop.image_id)

    key = attach(shop.ec2, shop.image_id)

    (image,) = shop.ec2.describe_images(ImageIds=[shop.image_id], IncludeDisabled=True)["Images"]
    assert [it["WatermarkKey"] for it in image["ImageWatermarks"]] == [key]


def test_copies_and_images_of_instances_inherit_watermarks_as_they_were_attached(shop: Shop) -> None:
    attach(shop.ec2, shop.image_id)
    original = described(shop.ec2, shop.image_id)["ImageWatermarks"]

    baked = bake(shop.ec2, shop.image_id, "baked")
    copied = copy(shop.ec2, baked, "copied")
    west = shop.running.ec2(shop.name, "us-west-2")
    abroad = copy(west, copied, "abroad")

    assert described(shop.ec2, baked)["ImageWatermarks"] == original
    assert described(shop.ec2, copied)["ImageWatermarks"] == original
    assert described(west, abroad)["ImageWatermarks"] == original


def test_images_of_instances_inherit_from_an_image_that_was_deregistered(shop: Shop) -> None:
    key = attach(shop.ec2, shop.image_id)
    instance_id = launch(shop.ec2, shop.image_id)
    shop.ec2.deregister_image(ImageId=shop.image_id)

    baked = bake_instance(shop.ec2, instance_id, "baked")

    assert keys(shop.ec2, baked) == [key]


def test_a_registered_image_has_no_watermarks_of_its_snapshots(shop: Shop) -> None:
    attach(shop.ec2, shop.image_id)
    image = described(shop.ec2, shop.image_id)
    device: Any = {
        "DeviceName": image["RootDeviceName"],
        "Ebs": {"SnapshotId": image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]},
    }

    registered = shop.ec2.register_image(
        Name="registered", RootDeviceName=image["RootDeviceName"], BlockDeviceMappings=[device]
    )["ImageId"]

    assert keys(shop.ec2, registered) == []


def test_what_is_detached_stays_with_what_came_of_the_image(shop: Shop) -> None:
    key = attach(shop.ec2, shop.image_id)
    copied = copy(shop.ec2, shop.image_id, "copied")

    assert detach(shop.ec2, shop.image_id, key)

    assert keys(shop.ec2, shop.image_id) == []
    assert keys(shop.ec2, copied) == [key]


def test_to_detach_what_is_not_there_succeeds(shop: Shop) -> None:
    assert detach(shop.ec2, shop.image_id, f"{shop.account_id}:never attached")


@pytest.mark.parametrize("key", ["approved", "1234:approved", "123456789012:", "123456789012:a*", ":"])
def test_a_key_that_no_watermark_has_is_refused(shop: Shop, key: str) -> None:
    with refused("InvalidParameterValue"):
        detach(shop.ec2, shop.image_id, key)


def test_watermarks_of_several_accounts_meet_on_one_image(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    first = attach(shop.ec2, shop.image_id)
    share(shop.ec2, shop.image_id, account_id(bob))
    share_storage(shop.ec2, shop.image_id, account_id(bob))
    copied = copy(bob, shop.image_id, "copied")
    second = attach(bob, copied)
    share(bob, copied, account_id(carol))

    assert keys(carol, copied) == [first, second]
    assert detach(bob, copied, first)
    assert keys(carol, copied) == [second]
    assert keys(shop.ec2, shop.image_id) == [first]


def test_only_the_owner_attaches_and_detaches(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    key = attach(shop.ec2, shop.image_id)
    share(shop.ec2, shop.image_id, account_id(bob))

    for stranger, code, status in ((bob, "AuthFailure", 403), (carol, "InvalidAMIID.NotFound", 400)):
        with refused(code, status=status):
            attach(stranger, shop.image_id, "another")
        with refused(code, status=status):
            detach(stranger, shop.image_id, key)
    assert keys(bob, shop.image_id) == [key]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("watermark-key", "{account}:approved"),
        ("watermark-key", "*:approved"),
        ("source-image-id", "{image}"),
        ("source-image-region", "us-east-?"),
        ("source-image-creation-time", "{day}T*+00:00"),
        ("watermark-creation-time", "{day}T??:??:??.??????+00:00"),
    ],
)
def test_images_are_found_by_each_part_of_a_watermark(shop: Shop, name: str, value: str) -> None:
    plain = copy(shop.ec2, shop.image_id, "plain")
    attach(shop.ec2, shop.image_id)
    copied = copy(shop.ec2, shop.image_id, "copied")
    day = f"{datetime.now(UTC):%Y-%m-%d}"

    wanted = value.format(account=shop.account_id, image=shop.image_id, day=day)

    ids = found(shop.ec2, f"image-watermark.{name}", wanted)
    assert {shop.image_id, copied} <= set(ids)
    assert plain not in ids
    assert found(shop.ec2, f"image-watermark.{name}", "other") == []


def test_a_filter_of_watermarks_that_is_unknown_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        found(alice, "image-watermark.name", "approved")


def _failed(shop: Shop) -> str:
    """Return a copy whose source has lost its bytes."""
    lost = bake(shop.ec2, shop.image_id, "lost")
    snapshot_id = described(shop.ec2, lost)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    shop.running.call(shop.running.drivers.volumes.delete_snapshot(snapshot_id))
    return copy(shop.ec2, lost, "failed")
