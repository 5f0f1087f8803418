"""The instance types of an image: set by its owner, held to at launch."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.image_making import account_id, bake_instance, copy, described, launch, share
from tests.system.refusals import refused
from tests.system.shop import Shop
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def hold_to(ec2: Any, image_id: str, supported: list[str], unsupported: list[str]) -> None:
    answer = ec2.replace_image_instance_type_specification(
        ImageId=image_id,
        InstanceTypeSpecification={"SupportedInstanceTypes": supported, "UnsupportedInstanceTypes": unsupported},
    )
    assert answer["ReturnValue"] is True


def free(ec2: Any, image_id: str) -> None:
    assert ec2.replace_image_instance_type_specification(ImageId=image_id)["ReturnValue"] is True


def shown(ec2: Any, image_id: str) -> tuple[list[str], list[str]] | None:
    specification = described(ec2, image_id).get("InstanceTypeSpecification")
    if specification is None:
        return None
    return (
        [it["InstanceType"] for it in specification.get("SupportedInstanceTypes", [])],
        [it["InstanceType"] for it in specification.get("UnsupportedInstanceTypes", [])],
    )


def test_a_specification_is_shown_and_replaced_whole(shop: Shop) -> None:
    assert shown(shop.ec2, shop.image_id) is None

    hold_to(shop.ec2, shop.image_id, ["t3.*", "m5.large"], ["t3.nano"])
    first = shown(shop.ec2, shop.image_id)
    hold_to(shop.ec2, shop.image_id, [], ["*.metal"])

    assert first == (["t3.*", "m5.large"], ["t3.nano"])
    assert shown(shop.ec2, shop.image_id) == ([], ["*.metal"])
    free(shop.ec2, shop.image_id)
    assert shown(shop.ec2, shop.image_id) is None


def test_an_empty_specification_is_none(shop: Shop) -> None:
    hold_to(shop.ec2, shop.image_id, ["t3.micro"], [])

    hold_to(shop.ec2, shop.image_id, [], [])

    assert shown(shop.ec2, shop.image_id) is None


@pytest.mark.parametrize(
    ("supported", "unsupported", "allowed", "barred"),
    [
        (["t3.micro"], [], ["t3.micro"], ["t3.small", "t2.micro"]),
        (["t3.*"], [], ["t3.micro", "t3.small"], ["t2.micro"]),
        ([], ["t3.*"], ["t2.micro"], ["t3.micro"]),
        (["t3.*"], ["t3.small"], ["t3.micro"], ["t3.small", "t2.micro"]),
        (["*.micro"], ["t2*"], ["t3.micro"], ["t2.micro", "t3.small"]),
        (["t3*c*o"], [], ["t3.micro"], ["t3.small"]),
        (["no.such"], [], [], ["t3.micro"]),
    ],
)
def test_a_launch_is_held_to_the_specification(
    shop: Shop, supported: list[str], unsupported: list[str], allowed: list[str], barred: list[str]
) -> None:
    hold_to(shop.ec2, shop.image_id, supported, unsupported)

    for instance_type in allowed:
        assert shop.launch(InstanceType=instance_type)["InstanceType"] == instance_type
    for instance_type in barred:
        with refused("InvalidParameterCombination"):
            shop.launch(InstanceType=instance_type)
    assert len(shop.found()) == len(allowed)


def test_the_default_instance_type_is_held_to_it_too(shop: Shop) -> None:
    default = shop.launch()["InstanceType"]
    hold_to(shop.ec2, shop.image_id, [], [default])

    with refused("InvalidParameterCombination"):
        shop.launch()


def test_an_instance_that_was_launched_before_starts_again(shop: Shop) -> None:
    instance_id = launch(shop.ec2, shop.image_id, InstanceType="t3.micro")
    hold_to(shop.ec2, shop.image_id, [], ["t3.micro"])
    shop.stop(instance_id)

    shop.ec2.start_instances(InstanceIds=[instance_id])

    shop.ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig={"MaxAttempts": 1})


def test_strangers_are_held_to_it_and_see_it_and_cannot_change_it(
    shop: Shop, bob: "EC2Client", carol: "EC2Client"
) -> None:
    hold_to(shop.ec2, shop.image_id, ["t3.*"], [])
    share(shop.ec2, shop.image_id, account_id(bob))

    assert shown(bob, shop.image_id) == (["t3.*"], [])
    with refused("InvalidParameterCombination"):
        launch(bob, shop.image_id, InstanceType="t2.micro")
    launch(bob, shop.image_id, InstanceType="t3.micro")
    with refused("AuthFailure", status=403):
        free(bob, shop.image_id)
    with refused("InvalidAMIID.NotFound"):
        free(carol, shop.image_id)
    assert shown(shop.ec2, shop.image_id) == (["t3.*"], [])


def test_what_comes_of_an_image_needs_what_it_needs(shop: Shop) -> None:
    instance_id = launch(shop.ec2, shop.image_id, InstanceType="t3.micro")
    hold_to(shop.ec2, shop.image_id, ["t3.*"], [])

    baked = bake_instance(shop.ec2, instance_id, "baked")
    copied = copy(shop.ec2, shop.image_id, "copied")

    assert shown(shop.ec2, baked) == shown(shop.ec2, copied) == (["t3.*"], [])


@pytest.mark.parametrize(
    ("supported", "unsupported"),
    [
        (["t3.**"], []),
        ([""], []),
        (["t" * 25], []),
        (["t3 micro"], []),
        (["t3.?"], []),
        (["t3.*", "t3.*"], []),
        (["t3.*"], ["t3.*"]),
        ([], [f"t3.{number}" for number in range(101)]),
        ([f"t3.{number}" for number in range(101)], []),
    ],
)
def test_a_specification_that_is_none_is_refused(shop: Shop, supported: list[str], unsupported: list[str]) -> None:
    form = {"ImageId": shop.image_id}
    for member, patterns in (("SupportedInstanceType", supported), ("UnsupportedInstanceType", unsupported)):
        form |= {f"InstanceTypeSpecification.{member}.{number}": it for number, it in enumerate(patterns, 1)}
    hold_to(shop.ec2, shop.image_id, ["m5.*"], [])

    answer = Wire(shop.running, shop.name).ask("ReplaceImageInstanceTypeSpecification", form)

    assert (answer.status, answer.code) == (400, "InvalidParameterValue")
    assert shown(shop.ec2, shop.image_id) == (["m5.*"], [])


@pytest.mark.parametrize(
    ("name", "value", "is_found"),
    [
        ("supported-instance-type", "t3.\\*", True),
        ("supported-instance-type", "t3.*", True),
        ("supported-instance-type", "m5.large", True),
        ("supported-instance-type", "t3.nano", False),
        ("unsupported-instance-type", "t3.nano", True),
        ("unsupported-instance-type", "m5.large", False),
    ],
)
def test_images_are_found_by_what_is_specified(shop: Shop, name: str, value: str, is_found: bool) -> None:  # noqa: FBT001
    hold_to(shop.ec2, shop.image_id, ["t3.*", "m5.large"], ["t3.nano"])
    wanted: Any = [{"Name": f"instance-type-specification.{name}", "Values": [value]}]

    images = shop.ec2.describe_images(Owners=["self"], Filters=wanted)["Images"]

    assert [image["ImageId"] for image in images] == ([shop.image_id] if is_found else [])
