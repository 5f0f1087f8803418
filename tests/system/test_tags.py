"""Tags as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.shop import Shop
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

AWKWARD = [
    "<&>\"'", "a & b", "grün", "日本語", "\N{PILE OF POO}", "a  b", " leading", "trailing ", "a\tb", "a\nb", "a\rb",
    "+%2B+", "=", "-", "]]>", "&amp;", "<!-- -->", "true", "0",
]  # fmt: skip


@pytest.fixture
def vpc_id(alice: "EC2Client") -> str:
    return alice.describe_vpcs()["Vpcs"][0]["VpcId"]


@pytest.fixture
def subnet_ids(alice: "EC2Client") -> list[str]:
    return [subnet["SubnetId"] for subnet in alice.describe_subnets()["Subnets"]]


def tags_of(client: "EC2Client", resource_id: str) -> dict[str, str]:
    found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource_id]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def tag_list(**tags: str) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.mark.parametrize("text", AWKWARD)
def test_any_text_comes_back_as_it_went(alice: "EC2Client", vpc_id: str, text: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=[{"Key": text, "Value": text}])

    assert tags_of(alice, vpc_id) == {text: text}
    assert alice.describe_vpcs()["Vpcs"][0]["Tags"] == [{"Key": text, "Value": text}]
    assert len(alice.describe_vpcs(Filters=[{"Name": f"tag:{text}", "Values": [text]}])["Vpcs"]) == 1


def test_a_character_that_no_answer_could_carry_is_refused(alice: "EC2Client", vpc_id: str) -> None:
    with refused("InvalidCharacter"):
        alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="\x01"))


def test_a_tag_may_have_an_empty_value(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(empty=""))

    assert tags_of(alice, vpc_id) == {"empty": ""}


def test_a_tag_may_come_without_a_value(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=[{"Key": "bare"}])

    assert tags_of(alice, vpc_id) == {"bare": ""}


def test_a_second_value_replaces_the_first_and_leaves_other_keys(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="1", b="1"))
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="2"))

    assert tags_of(alice, vpc_id) == {"a": "2", "b": "1"}


def test_several_resources_are_tagged_at_once(alice: "EC2Client", subnet_ids: list[str]) -> None:
    alice.create_tags(Resources=subnet_ids, Tags=tag_list(a="1"))

    assert [tags_of(alice, subnet_id) for subnet_id in subnet_ids] == [{"a": "1"}] * 3


def test_one_missing_resource_leaves_all_untagged(alice: "EC2Client", vpc_id: str) -> None:
    with refused("InvalidSubnetID.NotFound"):
        alice.create_tags(Resources=[vpc_id, "subnet-0123456789abcdef0"], Tags=tag_list(a="1"))

    assert tags_of(alice, vpc_id) == {}


@pytest.mark.parametrize(
    ("resource_id", "code"),
    [
        ("i-0123456789abcdef0", "InvalidInstanceID.NotFound"),
        ("ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
        ("vol-0123456789abcdef0", "InvalidVolume.NotFound"),
        ("snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("sg-0123456789abcdef0", "InvalidGroup.NotFound"),
        ("eni-0123456789abcdef0", "InvalidNetworkInterfaceID.NotFound"),
        ("key-0123456789abcdef0", "InvalidKeyPair.NotFound"),
        ("nonsense", "InvalidID"),
        ("xyz-0123456789abcdef0", "InvalidID"),
        ("i-123", "InvalidID"),
    ],
)
def test_what_is_not_there_cannot_be_tagged(alice: "EC2Client", resource_id: str, code: str) -> None:
    with refused(code):
        alice.create_tags(Resources=[resource_id], Tags=tag_list(a="1"))


def test_another_account_s_resource_cannot_be_tagged(alice: "EC2Client", bob: "EC2Client", vpc_id: str) -> None:
    with refused("InvalidVpcID.NotFound"):
        bob.create_tags(Resources=[vpc_id], Tags=tag_list(a="1"))
    with refused("InvalidVpcID.NotFound"):
        bob.delete_tags(Resources=[vpc_id])

    assert tags_of(alice, vpc_id) == {}


def test_another_account_s_tags_are_not_listed(alice: "EC2Client", bob: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="1"))

    assert bob.describe_tags()["Tags"] == []


def test_another_region_s_resource_is_not_found(
    shared: RunningServer, vpc_id: str, request: pytest.FixtureRequest
) -> None:
    elsewhere = shared.ec2(f"alice of {request.node.nodeid}", "eu-west-1")

    with refused("InvalidVpcID.NotFound"):
        elsewhere.create_tags(Resources=[vpc_id], Tags=tag_list(a="1"))


@pytest.mark.parametrize("key", ["aws:name", "AWS:x", "k" * 128 + "k"])
def test_a_key_that_ec2_keeps_or_that_is_too_long_is_refused(alice: "EC2Client", vpc_id: str, key: str) -> None:
    with refused("InvalidParameterValue"):
        alice.create_tags(Resources=[vpc_id], Tags=[{"Key": key, "Value": ""}])


def test_a_value_of_257_characters_is_refused(alice: "EC2Client", vpc_id: str) -> None:
    with refused("InvalidParameterValue"):
        alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="v" * 257))


def test_the_longest_key_and_value_are_taken(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=[{"Key": "ä" * 128, "Value": "漢" * 256}])

    assert tags_of(alice, vpc_id) == {"ä" * 128: "漢" * 256}


def test_a_key_given_twice_is_refused(alice: "EC2Client", vpc_id: str) -> None:
    with refused("InvalidParameterValue"):
        alice.create_tags(Resources=[vpc_id], Tags=[{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])


def test_fifty_tags_are_the_most(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(**{f"k{n}": "" for n in range(50)}))
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(k0="changed"))

    with refused("TagLimitExceeded"):
        alice.create_tags(Resources=[vpc_id], Tags=tag_list(one="more"))

    assert len(tags_of(alice, vpc_id)) == 50


def test_more_than_fifty_tags_at_the_making_are_refused(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "security-group", "Tags": tag_list(**{f"k{n}": "" for n in range(51)})}]

    with refused("TagLimitExceeded"):
        alice.create_security_group(GroupName="g", Description="d", TagSpecifications=tags)

    assert len(alice.describe_security_groups()["SecurityGroups"]) == 1


def test_a_tag_is_deleted_by_its_key(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="1", b="2"))

    alice.delete_tags(Resources=[vpc_id], Tags=[{"Key": "a"}])

    assert tags_of(alice, vpc_id) == {"b": "2"}


def test_a_tag_is_deleted_by_key_and_value_only_when_both_match(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="1", b="2", c=""))

    alice.delete_tags(Resources=[vpc_id], Tags=tag_list(a="other", b="2", c=""))

    assert tags_of(alice, vpc_id) == {"a": "1"}


def test_an_empty_value_deletes_only_a_tag_with_an_empty_value(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="1"))

    alice.delete_tags(Resources=[vpc_id], Tags=tag_list(a=""))

    assert tags_of(alice, vpc_id) == {"a": "1"}


def test_without_tags_all_of_a_resource_are_deleted(alice: "EC2Client", vpc_id: str) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(a="1", b="2"))

    alice.delete_tags(Resources=[vpc_id])

    assert tags_of(alice, vpc_id) == {}


def test_deleting_a_tag_that_is_not_there_succeeds(alice: "EC2Client", vpc_id: str) -> None:
    alice.delete_tags(Resources=[vpc_id], Tags=tag_list(nothing="here"))


def test_tags_are_filtered_by_key_value_and_resource(alice: "EC2Client", vpc_id: str, subnet_ids: list[str]) -> None:
    alice.create_tags(Resources=[vpc_id], Tags=tag_list(role="net", stage="prod"))
    alice.create_tags(Resources=subnet_ids[:1], Tags=tag_list(role="edge"))

    def found(*filters: tuple[str, str]) -> list[tuple[str, str]]:
        wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
        return [(tag["ResourceId"], tag["Value"]) for tag in alice.describe_tags(Filters=wanted)["Tags"]]

    assert found(("key", "role")) == [(subnet_ids[0], "edge"), (vpc_id, "net")]
    assert found(("key", "role"), ("resource-type", "vpc")) == [(vpc_id, "net")]
    assert found(("value", "pro?")) == [(vpc_id, "prod")]
    assert found(("resource-id", subnet_ids[0])) == [(subnet_ids[0], "edge")]
    with refused("InvalidParameterValue"):
        found(("colour", "red"))


def test_every_kind_of_resource_that_a_launch_makes_can_be_tagged(shop: Shop) -> None:
    instance = shop.launch()
    resource_ids = {
        shop.image_id: "image",
        instance["InstanceId"]: "instance",
        instance["NetworkInterfaces"][0]["NetworkInterfaceId"]: "network-interface",
        instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]: "volume",
        instance["SecurityGroups"][0]["GroupId"]: "security-group",
        instance["SubnetId"]: "subnet",
        instance["VpcId"]: "vpc",
    }

    shop.ec2.create_tags(Resources=list(resource_ids), Tags=tag_list(a="1"))

    listed = {tag["ResourceId"]: tag["ResourceType"] for tag in shop.ec2.describe_tags()["Tags"]}
    assert listed == resource_ids


def test_a_deregistered_image_cannot_be_tagged(shop: Shop) -> None:
    shop.ec2.deregister_image(ImageId=shop.image_id)

    with refused("InvalidAMIID.NotFound"):
        shop.ec2.create_tags(Resources=[shop.image_id], Tags=tag_list(a="1"))


def test_lists_numbered_from_zero_are_understood(alice: "EC2Client", wire: Wire, vpc_id: str) -> None:
    answer = wire.ask("CreateTags", {"ResourceId.0": vpc_id, "Tag.0.Key": "a", "Tag.0.Value": "1", "Tag.1.Key": "b"})

    assert answer.texts("return") == ["true"]
    assert tags_of(alice, vpc_id) == {"a": "1", "b": ""}


def test_lists_are_ordered_by_number_whatever_the_numbers(alice: "EC2Client", wire: Wire, vpc_id: str) -> None:
    wire.ask("CreateTags", [("ResourceId.7", vpc_id), ("Tag.10.Key", "later"), ("Tag.9.Key", "first")])

    assert list(tags_of(alice, vpc_id)) == ["first", "later"]


def test_tags_are_found_by_key_and_value_in_one_filter(alice: "EC2Client", vpc_id: str, subnet_ids: list[str]) -> None:
    alice.create_tags(Resources=[vpc_id, *subnet_ids[:2]], Tags=tag_list(Owner="TeamA", Stack="test"))
    alice.create_tags(Resources=subnet_ids[:1], Tags=tag_list(Owner="TeamB"))

    found = alice.describe_tags(Filters=[{"Name": "tag:Owner", "Values": ["Team?", "x"]}])["Tags"]
    of_team_a = alice.describe_tags(Filters=[{"Name": "tag:Owner", "Values": ["TeamA"]}])["Tags"]

    assert [(tag["Key"], tag["Value"]) for tag in found].count(("Owner", "TeamB")) == 1
    assert len(found) == 3
    assert {(tag["ResourceId"], tag["Key"]) for tag in of_team_a} == {(vpc_id, "Owner"), (subnet_ids[1], "Owner")}


@pytest.mark.parametrize("name", ["tag-key", "tag-value"])
def test_tags_are_not_found_by_filters_of_other_resources(alice: "EC2Client", name: str) -> None:
    with refused("InvalidParameterValue"):
        alice.describe_tags(Filters=[{"Name": name, "Values": ["x"]}])


@pytest.mark.parametrize("operation", ["create_tags", "delete_tags"])
def test_a_thousand_resources_are_the_most_of_a_request(alice: "EC2Client", vpc_id: str, operation: str) -> None:
    """Source: EC2 API Reference, CreateTags and DeleteTags, ResourceId."""
    change = getattr(alice, operation)

    change(Resources=[vpc_id] * 1000, Tags=tag_list(a="b"))

    with refused("InvalidParameterValue"):
        change(Resources=[vpc_id] * 1001, Tags=tag_list(a="b"))
