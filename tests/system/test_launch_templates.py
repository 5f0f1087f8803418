"""Launch templates as boto3 sees them: templates, versions, and what they are found by."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

SMALL: Any = {"InstanceType": "t3.nano", "EbsOptimized": True, "MetadataOptions": {"HttpTokens": "required"}}
LARGE: Any = {"InstanceType": "t3.large"}


def make(client: "EC2Client", name: str = "web", data: Any = SMALL, **members: Any) -> str:
    made = client.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data, **members)
    return made["LaunchTemplate"]["LaunchTemplateId"]


def with_versions(client: "EC2Client", number: int) -> str:
    """Make a template with so many versions, the first the default one."""
    template_id = make(client)
    for _ in range(number - 1):
        client.create_launch_template_version(LaunchTemplateId=template_id, LaunchTemplateData=LARGE)
    return template_id


def numbers(client: "EC2Client", **how: Any) -> list[int]:
    return [it["VersionNumber"] for it in client.describe_launch_template_versions(**how)["LaunchTemplateVersions"]]


def names(client: "EC2Client", *filters: Any, **how: Any) -> list[str]:
    found = client.describe_launch_templates(Filters=list(filters), **how)["LaunchTemplates"]
    return [it["LaunchTemplateName"] for it in found]


def test_a_template_is_made_with_a_version_that_is_default_and_latest(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}]
    made = alice.create_launch_template(
        LaunchTemplateName="web", VersionDescription="first", LaunchTemplateData=SMALL, TagSpecifications=tags
    )

    (shown,) = alice.describe_launch_templates()["LaunchTemplates"]
    (version,) = alice.describe_launch_template_versions(LaunchTemplateName="web")["LaunchTemplateVersions"]
    assert shown == made["LaunchTemplate"]
    assert (shown["DefaultVersionNumber"], shown["LatestVersionNumber"]) == (1, 1)
    assert shown["Tags"] == tags[0]["Tags"]
    assert (version["VersionNumber"], version["DefaultVersion"], version["VersionDescription"]) == (1, True, "first")
    assert version["LaunchTemplateData"] == SMALL


def test_a_name_is_had_once_in_an_account_and_region(alice: "EC2Client", bob: "EC2Client") -> None:
    make(alice)
    make(bob)

    with refused("InvalidLaunchTemplateName.AlreadyExistsException"):
        make(alice)


@pytest.mark.parametrize("name", ["ab", "x" * 129, "with space"])
def test_a_malformed_name_is_refused(alice: "EC2Client", name: str) -> None:
    with refused("InvalidLaunchTemplateName.MalformedException"):
        make(alice, name)


def test_user_data_that_is_no_base64_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidUserData.Malformed"):
        make(alice, data={"UserData": "#!/bin/sh"})


def test_what_cannot_be_launched_is_kept_with_a_warning(alice: "EC2Client") -> None:
    data: Any = {"ElasticGpuSpecifications": [{"Type": "eg1.medium"}]}

    made = alice.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)

    (version,) = alice.describe_launch_template_versions(LaunchTemplateName="web")["LaunchTemplateVersions"]
    assert made["Warning"]["Errors"][0]["Code"] == "UnsupportedOperation"
    assert version["LaunchTemplateData"] == data


def test_a_client_token_makes_one_template(alice: "EC2Client") -> None:
    assert make(alice, ClientToken="once") == make(alice, ClientToken="once")
    with refused("IdempotentParameterMismatch"):
        make(alice, data=LARGE, ClientToken="once")


def test_a_client_token_makes_one_version(alice: "EC2Client") -> None:
    how: Any = {"LaunchTemplateId": make(alice), "LaunchTemplateData": LARGE, "ClientToken": "once"}

    made = [alice.create_launch_template_version(**how)["LaunchTemplateVersion"] for _ in range(2)]

    assert [it["VersionNumber"] for it in made] == [2, 2]


def test_a_version_has_only_what_it_was_made_with(alice: "EC2Client") -> None:
    template_id = make(alice)

    made = alice.create_launch_template_version(LaunchTemplateId=template_id, LaunchTemplateData=LARGE)

    assert made["LaunchTemplateVersion"]["LaunchTemplateData"] == LARGE


def test_a_version_inherits_from_its_source_what_it_does_not_say(alice: "EC2Client") -> None:
    disk: Any = {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-0123456789abcdef0", "VolumeSize": 8}}
    make(alice, data={**SMALL, "BlockDeviceMappings": [disk]})

    made = alice.create_launch_template_version(
        LaunchTemplateName="web", SourceVersion="$Latest", LaunchTemplateData=LARGE
    )

    data: Any = made["LaunchTemplateVersion"]["LaunchTemplateData"]
    assert data == {
        **SMALL,
        **LARGE,
        "BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 8}}],
    }


def test_the_default_version_is_chosen_by_number(alice: "EC2Client") -> None:
    template_id = with_versions(alice, 2)

    changed = alice.modify_launch_template(LaunchTemplateId=template_id, DefaultVersion="2")["LaunchTemplate"]

    assert (changed["DefaultVersionNumber"], changed["LatestVersionNumber"]) == (2, 2)
    assert numbers(alice, LaunchTemplateId=template_id, Versions=["$Default"]) == [2]


def test_a_default_version_that_is_not_there_is_refused(alice: "EC2Client") -> None:
    with refused("InvalidLaunchTemplateId.VersionNotFound"):
        alice.modify_launch_template(LaunchTemplateId=make(alice), DefaultVersion="2")


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"Versions": ["2", "$Latest", "$Default"]}, [4, 2, 1]),
        ({"MinVersion": "2", "MaxVersion": "3"}, [3, 2]),
        ({"Filters": [{"Name": "instance-type", "Values": ["t3.nano"]}]}, [1]),
        ({"Filters": [{"Name": "is-default-version", "Values": ["false"]}]}, [4, 3, 2]),
        ({"Filters": [{"Name": "ebs-optimized", "Values": ["true"]}]}, [1]),
        ({"Filters": [{"Name": "http-tokens", "Values": ["required"]}]}, [1]),
        ({"Filters": [{"Name": "http-endpoint", "Values": ["enabled"]}]}, []),
        ({"Filters": [{"Name": "http-protocol-ipv4", "Values": ["enabled"]}]}, [4, 3, 2, 1]),
        ({"Filters": [{"Name": "image-id", "Values": ["*"]}]}, []),
        ({"Filters": [{"Name": "create-time", "Values": ["2*"]}]}, [4, 3, 2, 1]),
        ({"Filters": [{"Name": "iam-instance-profile", "Values": ["*"]}]}, []),
        ({"Filters": [{"Name": "network-card-index", "Values": ["0"]}]}, []),
    ],
)
def test_versions_are_found(alice: "EC2Client", how: Any, found: list[int]) -> None:
    assert numbers(alice, LaunchTemplateId=with_versions(alice, 4), **how) == found


def test_a_filter_looks_into_lists(alice: "EC2Client") -> None:
    make(alice, data={"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkCardIndex": 0}]})
    wanted: Any = [{"Name": "network-card-index", "Values": ["0"]}]

    assert numbers(alice, LaunchTemplateName="web", Filters=wanted) == [1]


def test_versions_come_in_pages(alice: "EC2Client") -> None:
    template_id = with_versions(alice, 3)
    pages = alice.get_paginator("describe_launch_template_versions").paginate(
        LaunchTemplateId=template_id, PaginationConfig={"PageSize": 2}
    )

    found = [[it["VersionNumber"] for it in page["LaunchTemplateVersions"]] for page in pages]

    assert found == [[3, 2], [1]]


def test_the_latest_versions_of_all_templates_are_found(alice: "EC2Client") -> None:
    with_versions(alice, 2)
    make(alice, "other")

    assert sorted(numbers(alice, Versions=["$Latest"])) == [1, 2]
    assert sorted(numbers(alice, Versions=["$Default"])) == [1, 1]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({}, "MissingParameter"),
        ({"Versions": ["1"]}, "InvalidParameterValue"),
        ({"LaunchTemplateName": "web", "Versions": ["3"]}, "InvalidLaunchTemplateId.VersionNotFound"),
        ({"LaunchTemplateName": "web", "Versions": ["one"]}, "InvalidParameterValue"),
        ({"LaunchTemplateName": "web", "Versions": ["1"], "MinVersion": "1"}, "InvalidParameterCombination"),
        ({"LaunchTemplateName": "no-such"}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"LaunchTemplateId": "lt-0123456789abcdef0"}, "InvalidLaunchTemplateId.NotFound"),
        ({"LaunchTemplateId": "web"}, "InvalidLaunchTemplateId.Malformed"),
        ({"LaunchTemplateId": "lt-0123456789abcdef0", "LaunchTemplateName": "web"}, "InvalidParameterCombination"),
        ({"LaunchTemplateName": "web", "Filters": [{"Name": "no-such", "Values": ["1"]}]}, "InvalidParameterValue"),
    ],
)
def test_a_question_for_versions_is_refused(alice: "EC2Client", how: Any, code: str) -> None:
    make(alice)

    with refused(code):
        alice.describe_launch_template_versions(**how)


def test_versions_are_deleted_but_the_default_one_and_those_that_are_not_there(alice: "EC2Client") -> None:
    template_id = with_versions(alice, 3)

    answer = alice.delete_launch_template_versions(LaunchTemplateId=template_id, Versions=["1", "3", "9"])

    gone = [it["VersionNumber"] for it in answer["SuccessfullyDeletedLaunchTemplateVersions"]]
    kept = {
        it["VersionNumber"]: it["ResponseError"]["Code"] for it in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    }
    assert gone == [3]
    assert kept == {1: "unexpectedError", 9: "launchTemplateVersionDoesNotExist"}
    assert numbers(alice, LaunchTemplateId=template_id) == [2, 1]


def test_a_number_is_not_given_twice(alice: "EC2Client") -> None:
    template_id = with_versions(alice, 2)
    alice.delete_launch_template_versions(LaunchTemplateId=template_id, Versions=["2"])
    assert alice.describe_launch_templates()["LaunchTemplates"][0]["LatestVersionNumber"] == 1

    made = alice.create_launch_template_version(LaunchTemplateId=template_id, LaunchTemplateData=LARGE)

    assert made["LaunchTemplateVersion"]["VersionNumber"] == 3


def test_a_template_is_deleted_with_its_versions(alice: "EC2Client") -> None:
    template_id = with_versions(alice, 2)

    gone = alice.delete_launch_template(LaunchTemplateName="web")["LaunchTemplate"]

    assert gone["LaunchTemplateId"] == template_id
    assert names(alice) == []
    assert numbers(alice, Versions=["$Latest"]) == []


def test_templates_are_found_by_name_id_tag_and_time(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}]
    template_id = make(alice, TagSpecifications=tags)
    make(alice, "other")

    assert names(alice, LaunchTemplateNames=["web"]) == ["web"]
    assert names(alice, LaunchTemplateIds=[template_id]) == ["web"]
    assert names(alice, {"Name": "launch-template-name", "Values": ["o*"]}) == ["other"]
    assert names(alice, {"Name": "tag:a", "Values": ["b"]}) == ["web"]
    assert names(alice, {"Name": "tag-key", "Values": ["a"]}) == ["web"]
    assert names(alice, {"Name": "create-time", "Values": ["1*"]}) == []


def test_templates_come_in_pages(alice: "EC2Client") -> None:
    for name in ("one", "two", "three"):
        make(alice, name)
    pages = alice.get_paginator("describe_launch_templates").paginate(PaginationConfig={"PageSize": 2})

    assert [len(page["LaunchTemplates"]) for page in pages] == [2, 1]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"LaunchTemplateNames": ["no-such"]}, "InvalidLaunchTemplateName.NotFoundException"),
        ({"LaunchTemplateIds": ["lt-0123456789abcdef0"]}, "InvalidLaunchTemplateId.NotFound"),
        ({"LaunchTemplateIds": ["web"]}, "InvalidLaunchTemplateId.Malformed"),
    ],
)
def test_templates_that_are_not_there_are_refused(alice: "EC2Client", how: Any, code: str) -> None:
    with refused(code):
        alice.describe_launch_templates(**how)


def test_another_account_s_template_is_not_there(alice: "EC2Client", bob: "EC2Client") -> None:
    template_id = make(alice)

    for ask in (bob.delete_launch_template, bob.modify_launch_template, bob.describe_launch_template_versions):
        with refused("InvalidLaunchTemplateId.NotFound"):
            ask(LaunchTemplateId=template_id)
    assert names(bob) == []


def test_a_template_is_tagged_later(alice: "EC2Client") -> None:
    template_id = make(alice)

    alice.create_tags(Resources=[template_id], Tags=[{"Key": "a", "Value": "b"}])

    (tag,) = alice.describe_tags(Filters=[{"Name": "resource-type", "Values": ["launch-template"]}])["Tags"]
    assert (tag["ResourceId"], tag["Key"], tag["Value"]) == (template_id, "a", "b")


def test_a_parameter_is_shown_as_the_image_that_it_names(shop: Shop) -> None:
    shop.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"ImageId": shop.image_id})
    how: Any = {"LaunchTemplateName": "web", "ResolveAlias": True}

    (version,) = shop.ec2.describe_launch_template_versions(**how)["LaunchTemplateVersions"]

    assert version["LaunchTemplateData"]["ImageId"] == shop.image_id
