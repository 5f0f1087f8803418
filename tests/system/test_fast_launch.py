"""EC2 Fast Launch as boto3 sees it: for Windows, so for no image here."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

ALL: dict[str, Any] = {
    "ResourceType": "snapshot",
    "SnapshotConfiguration": {"TargetResourceCount": 1},
    "LaunchTemplate": {"LaunchTemplateName": "windows", "Version": "1"},
    "MaxParallelLaunches": 6,
}


@pytest.mark.parametrize("members", [{}, ALL])
def test_fast_launch_of_an_image_that_is_not_windows_is_refused(shop: Shop, members: dict[str, Any]) -> None:
    with refused("InvalidParameterValue"):
        shop.ec2.enable_fast_launch(ImageId=shop.image_id, **members)
    with refused("InvalidParameterValue"):
        shop.ec2.disable_fast_launch(ImageId=shop.image_id, Force=True)


def test_fast_launch_of_an_image_that_is_not_there_is_refused(shop: Shop, bob: "EC2Client") -> None:
    with refused("InvalidAMIID.NotFound"):
        bob.enable_fast_launch(ImageId=shop.image_id)
    with refused("InvalidAMIID.NotFound"):
        bob.disable_fast_launch(ImageId=shop.image_id)
    with refused("InvalidAMIID.NotFound"):
        bob.describe_fast_launch_images(ImageIds=[shop.image_id])


def test_no_image_is_pre_provisioned(shop: Shop) -> None:
    pages = shop.ec2.get_paginator("describe_fast_launch_images").paginate(PaginationConfig={"PageSize": 5})

    assert [image for page in pages for image in page["FastLaunchImages"]] == []
    assert shop.ec2.describe_fast_launch_images(ImageIds=[shop.image_id])["FastLaunchImages"] == []
    for name in ("resource-type", "owner-id", "state"):
        found = shop.ec2.describe_fast_launch_images(Filters=[{"Name": name, "Values": ["*"]}])
        assert found["FastLaunchImages"] == []


def test_questions_of_a_wrong_form_are_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        alice.describe_fast_launch_images(Filters=[{"Name": "name", "Values": ["*"]}])
    with refused("InvalidParameterValue"):
        alice.describe_fast_launch_images(MaxResults=201)
    with refused("InvalidNextToken"):
        alice.describe_fast_launch_images(NextToken="none")
