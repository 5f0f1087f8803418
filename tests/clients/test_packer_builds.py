"""Packer's amazon-ebs builder of today by its calls: an image is baked, and of the build nothing is left but it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.clients.packer_builds import RUN_TAGS, Build
from tests.clients.packer_profiles import temporary_profile
from tests.clients.terraform.images import in_days
from tests.clients.terraform.provider import tags_of
from tests.clients.terraform.stack import Stack
from tests.system.shop import Shop

DEPRECATED_AT = in_days(300)

pytestmark = pytest.mark.slow


def build(shop: Shop, *, spot: bool = False) -> Build:
    return Build(shop.ec2, ami_name="baked", image_filters={"name": "te*", "root-device-type": "ebs"}, spot=spot)


@pytest.mark.parametrize("spot", [False, True], ids=["on demand", "on the spot market"])
def test_an_image_is_baked(shop: Shop, stack: Stack, spot: bool) -> None:  # noqa: FBT001
    image = build(shop, spot=spot).run()

    assert (image["State"], tags_of(image)) == ("available", RUN_TAGS)
    (snapshot,) = shop.ec2.describe_snapshots(OwnerIds=["self"], Filters=_tagged())["Snapshots"]
    assert snapshot["SnapshotId"] == image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    left = stack.own()
    assert left["images"] - stack.before["images"] == left["snapshots"] - stack.before["snapshots"] == 1
    assert {**left, "images": 0, "snapshots": 0} == {**stack.before, "images": 0, "snapshots": 0}


def _tagged() -> Any:
    return [{"Name": "tag:Name", "Values": [RUN_TAGS["Name"]]}]


@pytest.mark.parametrize("associate", [False, True])
def test_a_public_address_is_asked_for_without_a_subnet(shop: Shop, associate: bool) -> None:  # noqa: FBT001
    image = build(shop).run(associate_public_ip=associate)

    assert image["Name"] == "baked"


def test_an_instance_has_a_profile_for_the_build_only(shop: Shop) -> None:
    baked = build(shop)
    iam: Any = shop.running.client("iam", shop.name)

    with temporary_profile(iam, shop.ec2, shop.image_id, {"Name": "packing"}) as baked.profile:
        baked.run()

    assert iam.list_instance_profiles()["InstanceProfiles"] == iam.list_roles()["Roles"] == []
    with pytest.raises(ClientError, match=r"InvalidParameterValue.*iamInstanceProfile"):
        shop.launch(IamInstanceProfile={"Name": baked.profile})


def test_an_image_is_shared_copied_and_protected(shop: Shop) -> None:
    baked = build(shop)
    snapshot_id = baked.run()["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    there: Any = shop.running.ec2(shop.name, "eu-central-1")

    baked.change_attributes("111122223333", snapshot_id)
    copied = baked.copy(there)
    baked.protect(DEPRECATED_AT)

    (image,) = shop.ec2.describe_images(ImageIds=[baked.image_id])["Images"]
    assert (image["Description"], image["Public"], image["ImdsSupport"]) == ("baked, <&>", True, "v2.0")
    assert (image["DeprecationTime"], image["DeregistrationProtection"]) == (DEPRECATED_AT, "enabled-without-cooldown")
    permissions = shop.ec2.describe_image_attribute(ImageId=baked.image_id, Attribute="launchPermission")
    assert permissions["LaunchPermissions"] == [{"Group": "all"}, {"UserId": "111122223333"}]
    assert tags_of(there.describe_images(ImageIds=[copied])["Images"][0]) == RUN_TAGS


def test_fast_launch_is_refused_for_what_is_not_windows(shop: Shop) -> None:
    ec2: Any = shop.ec2
    data = {"ImageId": shop.image_id}
    template = ec2.create_launch_template(LaunchTemplateName="fast", LaunchTemplateData=data)["LaunchTemplate"]
    found = ec2.describe_launch_templates(LaunchTemplateNames=["fast"])["LaunchTemplates"][0]
    specified = {"LaunchTemplateId": template["LaunchTemplateId"], "Version": str(found["LatestVersionNumber"])}

    with pytest.raises(ClientError) as refused:
        ec2.enable_fast_launch(
            ImageId=shop.image_id,
            LaunchTemplate=specified,
            MaxParallelLaunches=6,
            SnapshotConfiguration={"TargetResourceCount": 1},
        )

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert ec2.describe_fast_launch_images(ImageIds=[shop.image_id])["FastLaunchImages"] == []
