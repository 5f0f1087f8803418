"""Placement groups as boto3 sees them, and instances in them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def make(client: "EC2Client", name: str = "g", strategy: Any = "spread", **members: Any) -> Any:
    return client.create_placement_group(GroupName=name, Strategy=strategy, **members)["PlacementGroup"]


def names(client: "EC2Client", *filters: Any, **how: Any) -> list[str]:
    found = client.describe_placement_groups(Filters=list(filters), **how)["PlacementGroups"]
    return [group["GroupName"] for group in found]


def launch(shop: Shop, number: int = 1, least: int | None = None, **placement: Any) -> list[Any]:
    members: Any = {"InstanceType": "m5.large", "Placement": {"GroupName": "g", **placement}}
    ids = shop.launch_ids(MinCount=number if least is None else least, MaxCount=number, **members)
    return [shop.describe(instance_id) for instance_id in ids]


def test_a_group_is_there_at_once(alice: "EC2Client") -> None:
    tags: Any = [{"ResourceType": "placement-group", "Tags": [{"Key": "a", "Value": "b"}]}]

    made = make(alice, TagSpecifications=tags)

    (shown,) = alice.describe_placement_groups()["PlacementGroups"]
    assert shown == made
    assert (shown["State"], shown["Strategy"], shown["SpreadLevel"]) == ("available", "spread", "rack")
    assert shown["GroupArn"].endswith(":placement-group/g")
    assert shown["Tags"] == tags[0]["Tags"]


def test_a_partition_group_has_two_partitions_unless_more_are_asked_for(alice: "EC2Client") -> None:
    assert make(alice, "two", "partition")["PartitionCount"] == 2
    assert make(alice, "seven", "partition", PartitionCount=7)["PartitionCount"] == 7


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"GroupName": "ä"}, "InvalidParameterValue"),
        ({"GroupName": "g" * 256}, "InvalidParameterValue"),
        ({"GroupName": "g", "Strategy": "precision-time"}, "UnsupportedOperation"),
        ({"GroupName": "g", "Strategy": "spread", "PartitionCount": 2}, "InvalidParameterCombination"),
        ({"GroupName": "g", "Strategy": "cluster", "SpreadLevel": "rack"}, "InvalidParameterCombination"),
        ({"GroupName": "g", "Strategy": "spread", "SpreadLevel": "host"}, "UnsupportedOperation"),
        ({"GroupName": "g", "Strategy": "partition", "PartitionCount": 8}, "InvalidParameterValue"),
        ({"GroupName": "taken"}, "InvalidPlacementGroup.Duplicate"),
    ],
)
def test_a_group_is_refused(alice: "EC2Client", members: Any, code: str) -> None:
    make(alice, "taken")

    with refused(code):
        alice.create_placement_group(**members)


def test_groups_are_found(alice: "EC2Client") -> None:
    group = make(alice)
    make(alice, "other", "cluster")
    alice.create_tags(Resources=[group["GroupId"]], Tags=[{"Key": "a", "Value": "b"}])

    assert names(alice, GroupNames=["g"]) == ["g"]
    assert names(alice, GroupIds=[group["GroupId"]]) == ["g"]
    for name, value in [
        ("group-name", "g"),
        ("group-arn", group["GroupArn"]),
        ("spread-level", "rack"),
        ("strategy", "spread"),
        ("tag:a", "b"),
        ("tag-key", "a"),
    ]:
        assert names(alice, {"Name": name, "Values": [value]}) == ["g"]
    assert names(alice, {"Name": "state", "Values": ["available"]}) == ["g", "other"]


def test_another_account_s_group_is_unknown(alice: "EC2Client", bob: "EC2Client") -> None:
    group = make(alice)

    with refused("InvalidPlacementGroup.Unknown"):
        bob.describe_placement_groups(GroupIds=[group["GroupId"]])
    with refused("InvalidPlacementGroup.Unknown"):
        bob.delete_placement_group(GroupName="g")
    with refused("InvalidPlacementGroupId.Malformed"):
        bob.describe_placement_groups(GroupIds=["g"])
    assert names(bob) == []


def test_a_group_goes_when_its_instances_are_terminated(shop: Shop) -> None:
    make(shop.ec2)
    (instance,) = launch(shop)
    with refused("InvalidPlacementGroup.InUse"):
        shop.ec2.delete_placement_group(GroupName="g")

    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    shop.ec2.delete_placement_group(GroupName="g")

    assert names(shop.ec2) == []


def test_an_instance_shows_its_group(shop: Shop) -> None:
    group = make(shop.ec2)
    shop.launch()

    (instance,) = launch(shop)

    assert (instance["Placement"]["GroupName"], instance["Placement"]["GroupId"]) == ("g", group["GroupId"])
    assert shop.found(("placement-group-name", "g")) == [instance["InstanceId"]]


def test_a_group_is_named_by_its_id_too(shop: Shop) -> None:
    group = make(shop.ec2)

    (instance,) = launch(shop, GroupName="", GroupId=group["GroupId"])

    assert instance["Placement"]["GroupName"] == "g"


def test_a_spread_group_has_seven_running_instances_in_a_zone(shop: Shop) -> None:
    make(shop.ec2)

    assert len(launch(shop, 9, least=1)) == 7
    with refused("InsufficientInstanceCapacity", status=500):
        launch(shop)
    assert len(launch(shop, AvailabilityZone="us-east-1b")) == 1


def test_a_stopped_instance_leaves_its_rack(shop: Shop) -> None:
    make(shop.ec2)
    first, *_ = launch(shop, 7)
    shop.stop(first["InstanceId"])

    launch(shop)

    with refused("InsufficientInstanceCapacity", status=500):
        shop.ec2.start_instances(InstanceIds=[first["InstanceId"]])


def test_partitions_fill_evenly(shop: Shop) -> None:
    make(shop.ec2, strategy="partition", PartitionCount=3)
    (chosen,) = launch(shop, PartitionNumber=2)

    others = launch(shop, 3)

    assert chosen["Placement"]["PartitionNumber"] == 2
    assert sorted(it["Placement"]["PartitionNumber"] for it in others) == [1, 1, 3]
    assert shop.found(("placement-partition-number", "2")) == [chosen["InstanceId"]]


def test_a_cluster_group_is_in_one_zone(shop: Shop) -> None:
    make(shop.ec2, strategy="cluster")
    launch(shop, AvailabilityZone="us-east-1a")

    with refused("InvalidPlacementGroup.InUse"):
        launch(shop, AvailabilityZone="us-east-1b")


@pytest.mark.parametrize(
    ("strategy", "members", "code"),
    [
        ("cluster", {"InstanceType": "t3.nano"}, "InvalidParameterCombination"),
        ("spread", {"Placement": {"GroupName": "g", "PartitionNumber": 1}}, "InvalidParameterCombination"),
        ("partition", {"Placement": {"GroupName": "g", "PartitionNumber": 3}}, "InvalidParameterValue"),
        ("spread", {"Placement": {"PartitionNumber": 1}}, "InvalidParameterCombination"),
        ("spread", {"Placement": {"GroupName": "no-such"}}, "InvalidPlacementGroup.Unknown"),
        ("spread", {"Placement": {"GroupId": "pg-0123456789abcdef0"}}, "InvalidPlacementGroup.Unknown"),
        (
            "spread",
            {"Placement": {"GroupId": "pg-0123456789abcdef0", "GroupName": "g"}},
            "InvalidParameterCombination",
        ),
    ],
)
def test_a_launch_into_a_group_is_refused(shop: Shop, strategy: str, members: Any, code: str) -> None:
    make(shop.ec2, strategy=strategy)
    placement = {"Placement": {"GroupName": "g"}}

    with refused(code):
        shop.launch(**{**placement, **members})


def test_a_stopped_instance_moves_between_groups(shop: Shop) -> None:
    make(shop.ec2)
    make(shop.ec2, "parts", "partition")
    instance_id = launch(shop)[0]["InstanceId"]
    with refused("InvalidInstanceState"):
        shop.ec2.modify_instance_placement(InstanceId=instance_id, GroupName="parts")
    shop.stop(instance_id)

    shop.ec2.modify_instance_placement(InstanceId=instance_id, GroupName="parts", PartitionNumber=2)
    moved = shop.describe(instance_id)["Placement"]
    shop.ec2.modify_instance_placement(InstanceId=instance_id, PartitionNumber=1)
    shifted = shop.describe(instance_id)["Placement"]
    shop.ec2.modify_instance_placement(InstanceId=instance_id, GroupName="")
    out = shop.describe(instance_id)["Placement"]

    assert (moved["GroupName"], moved["PartitionNumber"]) == ("parts", 2)
    assert (shifted["GroupName"], shifted["PartitionNumber"]) == ("parts", 1)
    assert "PartitionNumber" not in out
    assert out["GroupName"] == ""


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "MissingParameter"),
        ({"PartitionNumber": 1}, "MissingParameter"),
        ({"GroupName": "no-such"}, "InvalidPlacementGroup.Unknown"),
        ({"GroupName": "", "PartitionNumber": 1}, "InvalidParameterCombination"),
        ({"Tenancy": "dedicated"}, "UnsupportedOperation"),
        ({"HostId": "h-0123456789abcdef0"}, "UnsupportedOperation"),
    ],
)
def test_a_move_is_refused(shop: Shop, change: Any, code: str) -> None:
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1)
    shop.stop(instance_id)

    with refused(code):
        shop.ec2.modify_instance_placement(InstanceId=instance_id, **change)


def test_the_tenancy_that_all_have_may_be_asked_for(shop: Shop) -> None:
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1)

    assert shop.ec2.modify_instance_placement(InstanceId=instance_id, Tenancy="default")["Return"]
