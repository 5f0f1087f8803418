"""Instances launched from launch templates, and templates made of instances."""

from typing import Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

FROM_WEB: Any = {"LaunchTemplate": {"LaunchTemplateName": "web"}}


def template(shop: Shop, **data: Any) -> str:
    """Make the template `web` of the shop's image, and return its id."""
    whole: Any = {"ImageId": shop.image_id, "InstanceType": "t3.small", **data}
    made = shop.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=whole)
    return made["LaunchTemplate"]["LaunchTemplateId"]


def run(shop: Shop, **members: Any) -> Any:
    """Launch one instance from the template `web`."""
    launched = shop.ec2.run_instances(**{"MinCount": 1, "MaxCount": 1, **FROM_WEB, **members})["Instances"]
    return shop.describe(launched[0]["InstanceId"])


def tags_of(instance: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}


def tagged(**tags: str) -> Any:
    return [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def test_an_instance_is_as_its_template_says(shop: Shop) -> None:
    template(shop, UserData="aGVsbG8=", InstanceInitiatedShutdownBehavior="terminate", DisableApiStop=True)

    instance = run(shop)

    assert (instance["ImageId"], instance["InstanceType"]) == (shop.image_id, "t3.small")
    assert shop.attribute(instance["InstanceId"], "userData") == {"Value": "aGVsbG8="}
    assert shop.attribute(instance["InstanceId"], "instanceInitiatedShutdownBehavior") == {"Value": "terminate"}
    assert shop.attribute(instance["InstanceId"], "disableApiStop") == {"Value": True}


def test_an_instance_tells_which_template_it_came_from(shop: Shop) -> None:
    template_id = template(shop)

    instance = run(shop)

    assert tags_of(instance) == {"aws:ec2launchtemplate:id": template_id, "aws:ec2launchtemplate:version": "1"}
    assert shop.found(("tag:aws:ec2launchtemplate:id", template_id)) == [instance["InstanceId"]]


def test_a_request_s_members_replace_the_template_s(shop: Shop) -> None:
    template(shop, UserData="aGVsbG8=")

    instance = run(shop, InstanceType="t3.nano", UserData=b"bye")

    assert instance["InstanceType"] == "t3.nano"
    assert shop.attribute(instance["InstanceId"], "userData") == {"Value": "Ynll"}


def test_a_request_s_list_replaces_the_template_s(shop: Shop) -> None:
    template(shop, BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}])

    instance = run(shop, BlockDeviceMappings=[{"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 1}}])

    assert {"/dev/sdf", "/dev/sdg"} & {it["DeviceName"] for it in instance["BlockDeviceMappings"]} == {"/dev/sdg"}


def test_a_request_s_groups_replace_the_template_s_in_either_form(shop: Shop) -> None:
    group_id = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    template(shop, SecurityGroups=["default"])

    instance = run(shop, SecurityGroupIds=[group_id])

    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [group_id]


def test_tags_of_both_come_together_and_the_request_s_win(shop: Shop) -> None:
    template(shop, TagSpecifications=tagged(a="template", b="template"))

    instance = run(shop, TagSpecifications=tagged(b="request", c="request"))

    mine = {key: value for key, value in tags_of(instance).items() if not key.startswith("aws:")}
    assert mine == {"a": "template", "b": "request", "c": "request"}


@pytest.mark.parametrize(("version", "size"), [(None, "t3.small"), ("$Latest", "t3.large"), ("2", "t3.large")])
def test_a_launch_takes_the_version_that_it_names_else_the_default(shop: Shop, version: str | None, size: str) -> None:
    template(shop)
    large: Any = {"InstanceType": "t3.large"}
    shop.ec2.create_launch_template_version(LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData=large)
    named = {"LaunchTemplateName": "web", "Version": version or ""}

    assert run(shop, LaunchTemplate=named)["InstanceType"] == size


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"LaunchTemplateName": "web", "Version": "2"}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplateName": "web", "Version": "newest"}, "InvalidParameterValue"),
        ({"LaunchTemplateName": "no-such"}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"LaunchTemplateId": "lt-0123456789abcdef0"}, "InvalidLaunchTemplateId.NotFound"),
        ({"Version": "1"}, "MissingParameter"),
    ],
)
def test_a_launch_is_refused_without_its_template(shop: Shop, named: Any, code: str) -> None:
    template(shop)

    with refused(code):
        run(shop, LaunchTemplate=named)


def test_a_template_without_image_needs_one_in_the_request(shop: Shop) -> None:
    shop.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "t3.nano"})

    with refused("MissingParameter"):
        run(shop)
    assert run(shop, ImageId=shop.image_id)["InstanceType"] == "t3.nano"


def test_what_a_template_has_that_is_not_honoured_is_refused_at_the_launch(shop: Shop) -> None:
    template(shop, LicenseSpecifications=[{"LicenseConfigurationArn": "arn:aws:license-manager:::x"}])

    with refused("UnsupportedOperation"):
        run(shop)


def test_the_tags_of_the_template_stay(shop: Shop) -> None:
    template(shop)
    instance_id = run(shop)["InstanceId"]

    shop.ec2.delete_tags(Resources=[instance_id])

    assert set(tags_of(shop.describe(instance_id))) == {"aws:ec2launchtemplate:id", "aws:ec2launchtemplate:version"}
    with refused("InvalidParameterValue"):
        shop.ec2.delete_tags(Resources=[instance_id], Tags=[{"Key": "aws:ec2launchtemplate:id"}])


def test_an_instance_s_data_launches_another_like_it(shop: Shop) -> None:
    template(shop, UserData="aGVsbG8=", TagSpecifications=tagged(a="b"))
    first = run(shop, InstanceType="t3.nano")
    data: Any = shop.ec2.get_launch_template_data(InstanceId=first["InstanceId"])["LaunchTemplateData"]

    made: Any = shop.ec2.create_launch_template(LaunchTemplateName="again", LaunchTemplateData=data)
    second = run(shop, LaunchTemplate={"LaunchTemplateName": "again"})

    assert "Warning" not in made
    alike = ("ImageId", "InstanceType", "SubnetId", "SecurityGroups", "MetadataOptions")
    assert {name: second[name] for name in alike} == {name: first[name] for name in alike}
    assert shop.attribute(second["InstanceId"], "userData") == {"Value": "aGVsbG8="}
    assert tags_of(second)["a"] == "b"


def test_the_data_of_an_instance_that_is_not_there_is_refused(shop: Shop) -> None:
    with refused("InvalidInstanceID.NotFound"):
        shop.ec2.get_launch_template_data(InstanceId="i-0123456789abcdef0")
