"""Instant fleets as boto3 sees them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from tests.system.refusals import refused
from tests.system.shop import Shop

from bakehouse.domain.fleet import Fleet, TargetCapacity
from bakehouse.ec2.fleets import FILTERS

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

WEB: Any = {"LaunchTemplateName": "web", "Version": "$Latest"}


@pytest.fixture
def web(shop: Shop) -> Shop:
    """A shop with the template `web`."""
    data: Any = {"ImageId": shop.image_id, "InstanceType": "t3.small"}
    shop.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
    return shop


def create(client: "EC2Client", *overrides: Any, total: int = 1, default: str = "on-demand", **members: Any) -> Any:
    """Make an instant fleet from the template `web`."""
    capacity = {"TotalTargetCapacity": total, "DefaultTargetCapacityType": default, **members.pop("capacity", {})}
    request: Any = {
        "Type": "instant",
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": WEB, "Overrides": list(overrides)}],
        "TargetCapacitySpecification": capacity,
        **members,
    }
    return client.create_fleet(**request)


def named(template: Any, *overrides: Any) -> Any:
    return {"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": template, "Overrides": list(overrides)}]}


def ids(fleet: Any) -> list[str]:
    return [instance_id for launch in fleet["Instances"] for instance_id in launch["InstanceIds"]]


def types(fleet: Any) -> list[tuple[str, int]]:
    return [(launch["InstanceType"], len(launch["InstanceIds"])) for launch in fleet["Instances"]]


def fleet_of(client: "EC2Client", fleet_id: str) -> Any:
    (fleet,) = client.describe_fleets(FleetIds=[fleet_id])["Fleets"]
    return fleet


def test_the_answer_has_instances_that_run(web: Shop) -> None:
    made = create(web.ec2, total=2)

    assert types(made) == [("t3.small", 2)]
    assert {web.describe(instance_id)["State"]["Name"] for instance_id in ids(made)} == {"running"}
    assert made["Instances"][0]["Lifecycle"] == "on-demand"
    assert made["Instances"][0]["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"] == WEB


def test_a_spot_fleet_launches_spot_instances(web: Shop) -> None:
    made = create(web.ec2, {"InstanceType": "t3.nano", "MaxPrice": "0.01"}, default="spot")

    instance = web.describe(ids(made)[0])
    assert instance["InstanceLifecycle"] == "spot"
    (request,) = web.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (request["SpotPrice"], request["InstanceId"]) == ("0.010000", instance["InstanceId"])


def test_a_fleet_mixes_both_markets(web: Shop) -> None:
    made = create(web.ec2, total=3, default="spot", capacity={"OnDemandTargetCapacity": 1})

    assert [(it["Lifecycle"], len(it["InstanceIds"])) for it in made["Instances"]] == [("on-demand", 1), ("spot", 2)]


def test_instances_are_tagged_by_request_template_and_fleet(web: Shop) -> None:
    tags: Any = [
        {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]},
        {"ResourceType": "fleet", "Tags": [{"Key": "c", "Value": "d"}]},
    ]

    made = create(web.ec2, TagSpecifications=tags)

    found = {tag["Key"]: tag["Value"] for tag in web.describe(ids(made)[0])["Tags"]}
    assert (found["a"], found["aws:ec2:fleet-id"]) == ("b", made["FleetId"])
    assert found["aws:ec2launchtemplate:version"] == "1"
    assert fleet_of(web.ec2, made["FleetId"])["Tags"] == [{"Key": "c", "Value": "d"}]


def test_overrides_replace_what_the_template_says(web: Shop) -> None:
    subnet = web.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}])["Subnets"][0]

    made = create(web.ec2, {"InstanceType": "t3.nano", "SubnetId": subnet["SubnetId"]})

    instance = web.describe(ids(made)[0])
    assert (instance["InstanceType"], instance["SubnetId"]) == ("t3.nano", subnet["SubnetId"])


def test_an_override_s_subnet_is_for_the_template_s_interface(web: Shop) -> None:
    subnet = web.ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}])["Subnets"][0]
    data: Any = {"NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False}]}
    web.ec2.create_launch_template_version(LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData=data)

    made = create(web.ec2, {"SubnetId": subnet["SubnetId"]})

    assert web.describe(ids(made)[0])["SubnetId"] == subnet["SubnetId"]


def test_the_next_pool_is_taken_when_one_gives_nothing(web: Shop) -> None:
    made = create(web.ec2, {"ImageId": "ami-0123456789abcdef0"}, {"InstanceType": "t3.nano"})

    assert types(made) == [("t3.nano", 1)]
    assert [(it["ErrorCode"], it["Lifecycle"]) for it in made["Errors"]] == [("InvalidAMIID.NotFound", "on-demand")]


def test_a_fleet_of_which_nothing_starts_is_answered_with_its_errors(web: Shop) -> None:
    web.ec2.delete_launch_template(LaunchTemplateName="web")

    made = create(web.ec2)

    assert ids(made) == []
    assert [it["ErrorCode"] for it in made["Errors"]] == ["InvalidLaunchTemplateName.NotFoundException"]


def test_weights_count_as_capacity(web: Shop) -> None:
    made = create(web.ec2, {"InstanceType": "t3.large", "WeightedCapacity": 2}, total=5)

    assert types(made) == [("t3.large", 3)]
    assert fleet_of(web.ec2, made["FleetId"])["FulfilledCapacity"] == 6


def test_priorities_order_the_pools(web: Shop) -> None:
    pools = [{"InstanceType": "t3.nano", "Priority": 2}, {"InstanceType": "t3.micro", "Priority": 1}]

    made = create(web.ec2, *pools, OnDemandOptions={"AllocationStrategy": "prioritized"})

    assert types(made) == [("t3.micro", 1)]


def test_a_diversified_fleet_takes_from_every_pool(web: Shop) -> None:
    pools = [{"InstanceType": "t3.nano"}, {"InstanceType": "t3.micro"}]

    made = create(web.ec2, *pools, total=4, default="spot", SpotOptions={"AllocationStrategy": "diversified"})

    assert types(made) == [("t3.nano", 2), ("t3.micro", 2)]


def test_packer_s_spot_instance_is_as_its_template_says(shop: Shop) -> None:
    """The requests are those of its amazon plugin 1.8.2."""
    subnet_id = shop.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group_id = shop.ec2.create_security_group(GroupName="packer", Description="d")["GroupId"]
    interface = {"DeviceIndex": 0, "Groups": [group_id], "DeleteOnTermination": True, "SubnetId": subnet_id}
    data: Any = {
        "DisableApiTermination": False,
        "EbsOptimized": False,
        "IamInstanceProfile": {"Name": ""},
        "ImageId": shop.image_id,
        "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.02"}},
        "Placement": {"AvailabilityZone": ""},
        "UserData": "",
        "NetworkInterfaces": [{**interface, "AssociatePublicIpAddress": True}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "Packer Builder"}]}],
    }
    shop.ec2.create_launch_template(
        LaunchTemplateName="web",
        LaunchTemplateData=data,
        VersionDescription="template generated by packer for launching spot instances",
    )

    made = create(
        shop.ec2,
        {"InstanceType": "t3.nano"},
        default="spot",
        ReplaceUnhealthyInstances=False,
        SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
    )
    instance = shop.describe(ids(made)[0])
    shop.ec2.create_tags(Resources=[instance["SpotInstanceRequestId"]], Tags=[{"Key": "a", "Value": "b"}])

    (request,) = shop.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (request["SpotPrice"], request["Tags"]) == ("0.020000", [{"Key": "a", "Value": "b"}])
    assert [group["GroupId"] for group in instance["SecurityGroups"]] == [group_id]
    assert {"Key": "Name", "Value": "Packer Builder"} in instance["Tags"]


def test_a_client_token_makes_one_fleet(web: Shop) -> None:
    made = [create(web.ec2, ClientToken="once") for _ in range(2)]

    assert made[0]["FleetId"] == made[1]["FleetId"]
    assert len(web.found()) == 1


def test_an_instant_fleet_is_shown_by_its_id_alone(web: Shop, bob: "EC2Client") -> None:
    made = create(web.ec2)

    fleet = fleet_of(web.ec2, made["FleetId"])

    assert (fleet["FleetState"], fleet["ActivityStatus"], fleet["Type"]) == ("active", "fulfilled", "instant")
    assert fleet["Instances"] == made["Instances"]
    assert web.ec2.describe_fleets()["Fleets"] == []
    with refused("InvalidFleetId.NotFound"):
        bob.describe_fleets(FleetIds=[made["FleetId"]])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activity-status", "fulfilled"),
        ("excess-capacity-termination-policy", "false"),
        ("fleet-state", "active"),
        ("replace-unhealthy-instances", "false"),
        ("type", "instant"),
    ],
)
def test_fleets_are_found(web: Shop, name: Any, value: str) -> None:
    how: Any = {"FleetIds": [create(web.ec2)["FleetId"]]}

    assert len(web.ec2.describe_fleets(**how, Filters=[{"Name": name, "Values": [value]}])["Fleets"]) == 1
    assert web.ec2.describe_fleets(**how, Filters=[{"Name": name, "Values": ["none"]}])["Fleets"] == []


def test_a_fleet_is_deleted_with_its_instances(web: Shop) -> None:
    made = create(web.ec2)
    how: Any = {"FleetIds": [made["FleetId"], "fleet-0123456789abcdef0"], "TerminateInstances": True}

    answer = web.ec2.delete_fleets(**how)

    (gone,) = answer["SuccessfulFleetDeletions"]
    assert (gone["FleetId"], gone["PreviousFleetState"]) == (made["FleetId"], "active")
    assert [it["Error"]["Code"] for it in answer["UnsuccessfulFleetDeletions"]] == ["fleetIdDoesNotExist"]
    web.ec2.get_waiter("instance_terminated").wait(InstanceIds=ids(made), WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert fleet_of(web.ec2, made["FleetId"])["FleetState"] == "deleted"


def test_a_fleet_is_deleted_once(web: Shop) -> None:
    how: Any = {"FleetIds": [create(web.ec2)["FleetId"]], "TerminateInstances": True}
    web.ec2.delete_fleets(**how)

    (kept,) = web.ec2.delete_fleets(**how)["UnsuccessfulFleetDeletions"]

    assert kept["Error"]["Code"] == "fleetNotInDeletableState"


def test_a_fleet_with_a_protected_instance_stays(web: Shop) -> None:
    made = create(web.ec2, total=2)
    web.ec2.modify_instance_attribute(InstanceId=ids(made)[0], DisableApiTermination={"Value": True})

    (kept,) = web.ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True)["UnsuccessfulFleetDeletions"]

    assert kept["Error"]["Code"] == "unexpectedError"
    assert fleet_of(web.ec2, made["FleetId"])["FleetState"] == "active"
    assert {web.describe(instance_id)["State"]["Name"] for instance_id in ids(made)} == {"running"}


def test_more_than_25_fleets_are_not_deleted_at_once(web: Shop) -> None:
    fleet_id = create(web.ec2)["FleetId"]
    others = [f"fleet-{number:017x}" for number in range(25)]

    with refused("InvalidParameterValue"):
        web.ec2.delete_fleets(FleetIds=[fleet_id, *others], TerminateInstances=True)

    assert fleet_of(web.ec2, fleet_id)["FleetState"] == "active"


def test_a_fleet_with_errors_is_fulfilled_all_the_same(web: Shop) -> None:
    made = create(web.ec2, {"ImageId": "ami-0123456789abcdef0"})

    assert fleet_of(web.ec2, made["FleetId"])["ActivityStatus"] == "fulfilled"


@pytest.mark.parametrize("written", ["deleted-terminating", "deleted_terminating"])
def test_a_state_is_found_with_hyphens_and_with_underscores(written: str) -> None:
    matches = FILTERS.compile({"Filters": [{"Name": "fleet-state", "Values": [written]}]})
    capacity = TargetCapacity(total=1, on_demand=1, spot=0, default="on-demand")
    fleet = Fleet(id="", account_id="", region="", created_at=datetime.now(UTC), capacity=capacity, configs=())

    assert matches((fleet, "deleted_terminating"))
    assert not matches((fleet, "deleted"))


def test_an_override_has_a_key_metadata_options_and_a_place(web: Shop) -> None:
    web.ec2.create_key_pair(KeyName="mine")
    web.ec2.create_placement_group(GroupName="near", Strategy="spread")
    override = {
        "KeyName": "mine",
        "MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 3},
        "Placement": {"AvailabilityZone": "us-east-1b", "GroupName": "near"},
        "InstanceType": "t3.nano",
    }

    made = create(web.ec2, override)

    instance = web.describe(ids(made)[0])
    assert (instance["KeyName"], instance["MetadataOptions"]["HttpPutResponseHopLimit"]) == ("mine", 3)
    assert (instance["Placement"]["AvailabilityZone"], instance["Placement"]["GroupName"]) == ("us-east-1b", "near")
    shown = fleet_of(web.ec2, made["FleetId"])["LaunchTemplateConfigs"][0]["Overrides"]
    assert shown == [{"InstanceType": "t3.nano", "Placement": {"GroupName": "near"}}]


def test_user_data_of_the_fleet_is_the_instance_s(web: Shop) -> None:
    named = {**WEB, "LaunchTemplateSpecificationUserData": "aGVsbG8="}

    made = create(web.ec2, LaunchTemplateConfigs=[{"LaunchTemplateSpecification": named}])

    assert web.attribute(ids(made)[0], "userData") == {"Value": "aGVsbG8="}
    assert made["Instances"][0]["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"] == WEB


def test_an_instant_fleet_is_not_deleted_without_its_instances(web: Shop) -> None:
    with refused("InvalidParameterValue"):
        web.ec2.delete_fleets(FleetIds=[create(web.ec2)["FleetId"]], TerminateInstances=False)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Type": "maintain"}, "UnsupportedOperation"),
        ({"SpotOptions": {"InstanceInterruptionBehavior": "stop"}}, "InvalidParameterCombination"),
        ({"SpotOptions": {"MinTargetCapacity": 1}}, "UnsupportedOperation"),
        ({"SpotOptions": {"InstancePoolsToUseCount": 2}}, "UnsupportedOperation"),
        ({"ReplaceUnhealthyInstances": True}, "UnsupportedOperation"),
        ({"capacity": {"TargetCapacityUnitType": "vcpu"}}, "UnsupportedOperation"),
        ({"total": 0}, "InvalidTargetCapacitySpecification"),
        ({"capacity": {"SpotTargetCapacity": 2}}, "InvalidTargetCapacitySpecification"),
        ({"default": "capacity-block"}, "UnsupportedOperation"),
        ({"LaunchTemplateConfigs": [{"Overrides": [{"InstanceType": "t3.nano"}]}]}, "MissingParameter"),
        (named({"LaunchTemplateName": "web"}), "MissingParameter"),
        (named({"Version": "1"}), "InvalidParameterCombination"),
        (named({**WEB, "LaunchTemplateId": "lt-0123456789abcdef0"}), "InvalidParameterCombination"),
        (named(WEB, {"SubnetId": "subnet-1,subnet-2"}), "InvalidParameterValue"),
    ],
)
def test_other_fleets_are_refused(web: Shop, members: Any, code: str) -> None:
    with refused(code):
        create(web.ec2, **members)
    assert web.found() == []


def test_a_weight_of_nothing_is_refused(web: Shop) -> None:
    with refused("InvalidParameterValue"):
        create(web.ec2, {"WeightedCapacity": 0})
