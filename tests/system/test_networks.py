"""VPCs and subnets as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import contents, refused
from tests.system.shop import Shop
from tests.system.wire import Wire

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def subnet_ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [subnet["SubnetId"] for subnet in client.describe_subnets(Filters=wanted)["Subnets"]]


def test_an_account_has_a_default_vpc(alice: "EC2Client") -> None:
    (vpc,) = alice.describe_vpcs()["Vpcs"]

    assert vpc["IsDefault"]
    assert vpc["CidrBlock"] == "172.31.0.0/16"
    assert vpc["State"] == "available"
    assert vpc["CidrBlockAssociationSet"][0]["CidrBlockState"] == {"State": "associated"}


def test_the_default_vpc_has_a_subnet_in_each_zone(alice: "EC2Client") -> None:
    subnets = alice.describe_subnets()["Subnets"]

    assert [subnet["AvailabilityZone"] for subnet in subnets] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert [subnet["CidrBlock"] for subnet in subnets] == ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]
    assert all(subnet["DefaultForAz"] and subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    assert {subnet["AvailableIpAddressCount"] for subnet in subnets} == {4091}


def test_accounts_have_networks_of_their_own(alice: "EC2Client", bob: "EC2Client", carol: "EC2Client") -> None:
    assert len({client.describe_vpcs()["Vpcs"][0]["VpcId"] for client in (alice, bob, carol)}) == 3


def test_each_region_has_a_default_vpc_from_its_first_use_on(shared: RunningServer) -> None:
    first = shared.ec2("regions", "eu-west-1").describe_vpcs()["Vpcs"]
    again = shared.ec2("regions", "eu-west-1").describe_vpcs()["Vpcs"]
    elsewhere = shared.ec2("regions", "us-west-2").describe_vpcs()["Vpcs"]

    assert first == again
    assert first[0]["VpcId"] != elsewhere[0]["VpcId"]
    assert shared.ec2("regions", "us-west-2").describe_subnets()["Subnets"][0]["AvailabilityZone"] == "us-west-2a"


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("MakeCoffee", {}, "InvalidAction"),
        ("ModifyVpcEndpoint", {"VpcEndpointId": "vpce-0123456789abcdef0"}, "UnsupportedOperation"),
        ("RunInstances", {"ImageId": "ami-0123456789abcdef0"}, "MissingParameter"),
        ("CreateVpc", {"InstanceTenancy": "none"}, "InvalidParameterValue"),
        ("RunInstances", {"ImageId": "i", "MinCount": "1", "MaxCount": "1", "KernelId": "k"}, "UnsupportedOperation"),
        ("DescribeVpcs", {"DryRun": "true"}, "DryRunOperation"),
    ],
)
def test_a_region_is_not_used_by_a_request_that_is_refused_for_what_it_is(
    wire: Wire, shared: RunningServer, action: str, parameters: dict[str, str], code: str
) -> None:
    wire.region = "eu-west-1"
    before = contents(shared)

    assert wire.ask(action, parameters).code == code

    assert contents(shared) == before


def test_vpcs_are_chosen_by_filters_in_both_spellings(alice: "EC2Client") -> None:
    def count(name: str, value: str) -> int:
        return len(alice.describe_vpcs(Filters=[{"Name": name, "Values": [value]}])["Vpcs"])

    vpc_id = alice.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert count("isDefault", "true") == count("is-default", "true") == 1
    assert count("isDefault", "false") == 0
    assert count("cidr", "172.31.*") == count("cidr-block", "172.31.0.0/16") == 1
    assert count("vpc-id", vpc_id) == 1
    with refused("InvalidParameterValue"):
        count("colour", "red")


def test_subnets_are_chosen_by_filters(alice: "EC2Client") -> None:
    every = subnet_ids(alice)
    vpc_id = alice.describe_vpcs()["Vpcs"][0]["VpcId"]

    assert subnet_ids(alice, ("vpc-id", vpc_id), ("availability-zone", "us-east-1b")) == every[1:2]
    assert subnet_ids(alice, ("availabilityZone", "us-east-1?")) == every
    assert subnet_ids(alice, ("default-for-az", "true"), ("state", "available")) == every
    assert subnet_ids(alice, ("cidr-block", "172.31.16.0/20")) == every[1:2]
    assert subnet_ids(alice, ("subnet-id", every[2])) == every[2:]
    assert subnet_ids(alice, ("vpc-id", "vpc-0")) == []


def test_another_account_s_network_is_not_found(alice: "EC2Client", bob: "EC2Client") -> None:
    with refused("InvalidVpcID.NotFound"):
        bob.describe_vpcs(VpcIds=[alice.describe_vpcs()["Vpcs"][0]["VpcId"]])
    with refused("InvalidSubnetID.NotFound"):
        bob.describe_subnets(SubnetIds=subnet_ids(alice)[:1])


def test_malformed_ids_are_refused(alice: "EC2Client") -> None:
    with refused("InvalidVpcID.Malformed"):
        alice.describe_vpcs(VpcIds=["vpc"])
    with refused("InvalidSubnetID.Malformed"):
        alice.describe_subnets(SubnetIds=["vpc-0123456789abcdef0"])


def test_an_instance_takes_an_address_of_its_subnet_and_gives_it_back(shop: Shop) -> None:
    instance = shop.launch()

    def free() -> int:
        subnets = shop.ec2.describe_subnets(SubnetIds=[instance["SubnetId"]])["Subnets"]
        return subnets[0]["AvailableIpAddressCount"]

    assert free() == 4090
    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1})
    assert free() == 4091
