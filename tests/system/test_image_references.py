"""DescribeImageReferences: what of an account refers to images, whoever owns those."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.image_making import account_id, bake, launch, share
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

INSTANCES: list[Any] = [{"ResourceType": "ec2:Instance"}]
UNUSED = ["ec2:LaunchTemplate", "ssm:Parameter", "imagebuilder:ImageRecipe", "imagebuilder:ContainerRecipe"]


def of_state(*states: str) -> list[Any]:
    options = [{"OptionName": "state-name", "OptionValues": list(states)}]
    return [{"ResourceType": "ec2:Instance", "ResourceTypeOptions": options}]


def references(ec2: Any, *image_ids: str, **how: Any) -> list[Any]:
    given = how or {"IncludeAllResourceTypes": True}
    return list(ec2.describe_image_references(ImageIds=list(image_ids), **given)["ImageReferences"])


def instances(ec2: Any, *image_ids: str, **how: Any) -> list[str]:
    return [it["Arn"].rpartition("/")[2] for it in references(ec2, *image_ids, **how)]


def test_an_instance_refers_to_its_image_by_its_arn(shop: Shop) -> None:
    instance_id = launch(shop.ec2, shop.image_id)

    assert references(shop.ec2, shop.image_id, ResourceTypes=INSTANCES) == [
        {
            "ImageId": shop.image_id,
            "ResourceType": "ec2:Instance",
            "Arn": f"arn:aws:ec2:us-east-1:{shop.account_id}:instance/{instance_id}",
        }
    ]


def test_references_to_several_images_come_image_by_image(shop: Shop) -> None:
    baked = bake(shop.ec2, shop.image_id, "baked")
    second = launch(shop.ec2, baked)
    (first,) = instances(shop.ec2, shop.image_id)

    assert instances(shop.ec2, baked, shop.image_id) == [second, first]
    assert instances(shop.ec2, baked, baked) == [second]


def test_references_to_a_deregistered_image_are_still_found(shop: Shop) -> None:
    instance_id = launch(shop.ec2, shop.image_id)
    shop.ec2.deregister_image(ImageId=shop.image_id)

    assert instances(shop.ec2, shop.image_id) == [instance_id]


def test_each_account_finds_its_own_instances_of_any_image(shop: Shop, bob: "EC2Client", carol: "EC2Client") -> None:
    share(shop.ec2, shop.image_id, account_id(bob))
    mine, bobs = launch(shop.ec2, shop.image_id), launch(bob, shop.image_id)
    shop.ec2.reset_image_attribute(ImageId=shop.image_id, Attribute="launchPermission")

    assert instances(shop.ec2, shop.image_id) == [mine]
    assert instances(bob, shop.image_id) == [bobs]
    assert instances(carol, shop.image_id) == []


def test_references_are_of_the_region(shop: Shop) -> None:
    launch(shop.ec2, shop.image_id)

    assert instances(shop.running.ec2(shop.name, "us-west-2"), shop.image_id) == []


def test_instances_are_found_by_their_state(shop: Shop) -> None:
    running, stopped, terminated = (launch(shop.ec2, shop.image_id) for _ in range(3))
    shop.stop(stopped)
    shop.ec2.terminate_instances(InstanceIds=[terminated])
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[terminated], WaiterConfig={"Delay": 1})

    assert instances(shop.ec2, shop.image_id, ResourceTypes=of_state("running")) == [running]
    assert instances(shop.ec2, shop.image_id, ResourceTypes=of_state("stopped", "terminated")) == [stopped, terminated]
    assert instances(shop.ec2, shop.image_id, ResourceTypes=of_state("pending")) == []
    assert instances(shop.ec2, shop.image_id, ResourceTypes=INSTANCES) == [running, stopped, terminated]


def test_options_override_the_defaults_of_all_resource_types(shop: Shop) -> None:
    launch(shop.ec2, shop.image_id)
    both: Any = {"IncludeAllResourceTypes": True, "ResourceTypes": of_state("stopped")}

    assert instances(shop.ec2, shop.image_id, **both) == []


@pytest.mark.parametrize("resource_type", UNUSED)
def test_of_the_other_types_there_is_nothing(shop: Shop, resource_type: str) -> None:
    launch(shop.ec2, shop.image_id)

    assert references(shop.ec2, shop.image_id, ResourceTypes=[{"ResourceType": resource_type}]) == []


def test_a_depth_of_launch_template_versions_can_be_asked_for(shop: Shop) -> None:
    depth = {"OptionName": "version-depth", "OptionValues": ["10000"]}
    types = [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": [depth]}]

    assert references(shop.ec2, shop.image_id, ResourceTypes=types) == []


def test_references_come_in_pages(shop: Shop) -> None:
    made = shop.launch_ids(MinCount=7, MaxCount=7)
    how: Any = {"ImageIds": [shop.image_id], "IncludeAllResourceTypes": True}

    first = shop.ec2.describe_image_references(**how, MaxResults=5)
    rest = shop.ec2.describe_image_references(**how, MaxResults=5, NextToken=first["NextToken"])

    assert [it["Arn"].rpartition("/")[2] for it in first["ImageReferences"] + rest["ImageReferences"]] == made
    assert (len(first["ImageReferences"]), "NextToken" in rest) == (5, False)
    with refused("InvalidNextToken"):
        shop.ec2.describe_image_references(
            **{**how, "IncludeAllResourceTypes": False}, NextToken=first["NextToken"], ResourceTypes=INSTANCES
        )
    with refused("InvalidParameterValue"):
        shop.ec2.describe_image_references(**how, MaxResults=1001)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({}, "MissingParameter"),
        ({"IncludeAllResourceTypes": False}, "MissingParameter"),
        ({"ResourceTypes": []}, "MissingParameter"),
        ({"ResourceTypes": [{}]}, "MissingParameter"),
        ({"ResourceTypes": [{"ResourceType": "ec2:Volume"}]}, "InvalidParameterValue"),
        ({"ResourceTypes": INSTANCES * 2}, "InvalidParameterValue"),
        ({"ResourceTypes": of_state("idle")}, "InvalidParameterValue"),
        (
            {"ResourceTypes": [{**INSTANCES[0], "ResourceTypeOptions": [{"OptionValues": ["running"]}]}]},
            "MissingParameter",
        ),
        (
            {"ResourceTypes": [{**INSTANCES[0], "ResourceTypeOptions": [{"OptionName": "version-depth"}]}]},
            "InvalidParameterCombination",
        ),
        *(
            (
                {
                    "ResourceTypes": [
                        {
                            "ResourceType": "ec2:LaunchTemplate",
                            "ResourceTypeOptions": [{"OptionName": "version-depth", "OptionValues": values}],
                        }
                    ]
                },
                "InvalidParameterValue",
            )
            for values in (["0"], ["10001"], ["ten"], ["1", "2"], ["-1"])
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(shop: Shop, how: dict[str, Any], code: str) -> None:
    if how == {}:
        with refused(code):
            shop.ec2.describe_image_references(ImageIds=[shop.image_id])
        return
    with refused(code):
        references(shop.ec2, shop.image_id, **how)


def test_ten_images_can_be_asked_for_at_once(shop: Shop) -> None:
    ids = [f"ami-{number:017x}" for number in range(11)]

    assert references(shop.ec2, *ids[:10]) == []
    with refused("InvalidParameterValue"):
        references(shop.ec2, *ids)


def test_an_id_that_is_none_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidAMIID.Malformed"):
        references(alice, "i-0123456789abcdef0")


def template(shop: Shop, *image_ids: str) -> str:
    """Make a launch template with a version for each image, and return its ARN."""
    made = shop.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": image_ids[0]})
    template_id = made["LaunchTemplate"]["LaunchTemplateId"]
    for image_id in image_ids[1:]:
        data: Any = {"ImageId": image_id}
        shop.ec2.create_launch_template_version(LaunchTemplateId=template_id, LaunchTemplateData=data)
    return f"arn:aws:ec2:us-east-1:{shop.account_id}:launch-template/{template_id}"


def test_a_launch_template_refers_to_the_image_that_it_names(shop: Shop) -> None:
    arn = template(shop, shop.image_id, shop.image_id)
    client: Any = shop.ec2

    for types in ({"IncludeAllResourceTypes": True}, {"ResourceTypes": [{"ResourceType": "ec2:LaunchTemplate"}]}):
        (reference,) = client.describe_image_references(ImageIds=[shop.image_id], **types)["ImageReferences"]
        assert (reference["ResourceType"], reference["Arn"]) == ("ec2:LaunchTemplate", arn)


def test_an_old_version_of_a_launch_template_counts_no_more(shop: Shop) -> None:
    template(shop, shop.image_id, *["ami-0123456789abcdef0"] * 2)
    client: Any = shop.ec2

    def found(depth: int) -> int:
        option = {"OptionName": "version-depth", "OptionValues": [str(depth)]}
        types = [{"ResourceType": "ec2:LaunchTemplate", "ResourceTypeOptions": [option]}]
        return len(client.describe_image_references(ImageIds=[shop.image_id], ResourceTypes=types)["ImageReferences"])

    assert (found(2), found(3)) == (0, 1)


def test_a_report_counts_launch_templates(shop: Shop) -> None:
    template(shop, shop.image_id)
    client: Any = shop.ec2

    types = [{"ResourceType": "ec2:LaunchTemplate"}]
    report_id = client.create_image_usage_report(ImageId=shop.image_id, ResourceTypes=types)["ReportId"]

    (entry,) = client.describe_image_usage_report_entries(ReportIds=[report_id])["ImageUsageReportEntries"]
    assert (entry["ResourceType"], entry["UsageCount"], entry["AccountId"]) == (
        "ec2:LaunchTemplate",
        1,
        shop.account_id,
    )
