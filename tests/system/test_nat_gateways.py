"""NAT gateways as boto3 sees them."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.networking import new_gateway, new_nat_gateway, new_subnet, new_table, new_vpc, tagged
from tests.system.refusals import refused

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def subnet_id(alice: "EC2Client") -> str:
    """A subnet of a VPC with an internet gateway."""
    vpc_id = new_vpc(alice)
    new_gateway(alice, vpc_id)
    return new_subnet(alice, vpc_id)


def described(client: "EC2Client", gateway_id: str) -> Any:
    (gateway,) = client.describe_nat_gateways(NatGatewayIds=[gateway_id])["NatGateways"]
    return gateway


def found(client: "EC2Client", name: str, value: str) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]}]
    return [gateway["NatGatewayId"] for gateway in client.describe_nat_gateways(Filters=wanted)["NatGateways"]]


def test_a_public_nat_gateway_has_an_elastic_ip_and_an_interface(alice: "EC2Client", subnet_id: str) -> None:
    address = alice.allocate_address()

    made = alice.create_nat_gateway(
        SubnetId=subnet_id, AllocationId=address["AllocationId"], TagSpecifications=tagged("natgateway", Name="out")
    )["NatGateway"]
    gateway = described(alice, made["NatGatewayId"])
    (shown,) = gateway["NatGatewayAddresses"]
    (interface,) = alice.describe_network_interfaces(NetworkInterfaceIds=[shown["NetworkInterfaceId"]])[
        "NetworkInterfaces"
    ]

    assert (made["State"], gateway["State"], gateway["ConnectivityType"]) == ("pending", "available", "public")
    assert (shown["PublicIp"], shown["AllocationId"]) == (address["PublicIp"], address["AllocationId"])
    assert gateway["Tags"] == [{"Key": "Name", "Value": "out"}]
    assert (interface["InterfaceType"], interface["RequesterManaged"], interface["Status"]) == (
        "nat_gateway",
        True,
        "in-use",
    )
    assert interface["PrivateIpAddress"] == shown["PrivateIp"]
    assert interface["SourceDestCheck"] is False


def test_routes_lead_to_it_until_it_is_deleted(alice: "EC2Client", subnet_id: str) -> None:
    gateway_id = new_nat_gateway(alice, subnet_id)
    table_id = new_table(alice, described(alice, gateway_id)["VpcId"])
    alice.create_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway_id)

    def state() -> str:
        (table,) = alice.describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
        return next(route["State"] for route in table["Routes"] if route.get("NatGatewayId") == gateway_id)

    assert state() == "active"
    alice.delete_nat_gateway(NatGatewayId=gateway_id)
    alice.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[gateway_id], WaiterConfig={"MaxAttempts": 1})
    assert state() == "blackhole"


def test_no_new_route_leads_to_a_deleted_one(alice: "EC2Client", subnet_id: str) -> None:
    gateway_id = new_nat_gateway(alice, subnet_id)
    table_id = new_table(alice, described(alice, gateway_id)["VpcId"])
    alice.delete_nat_gateway(NatGatewayId=gateway_id)

    with refused("NatGatewayNotFound"):
        alice.create_route(RouteTableId=table_id, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway_id)


def test_a_deleted_one_gives_its_address_back(alice: "EC2Client", subnet_id: str) -> None:
    gateway_id = new_nat_gateway(alice, subnet_id)
    (address,) = alice.describe_addresses()["Addresses"]

    with refused("InvalidIPAddress.InUse"):
        alice.release_address(AllocationId=address["AllocationId"])
    with refused("OperationNotPermitted"):
        alice.disassociate_address(AssociationId=address["AssociationId"])
    with refused("OperationNotPermitted"):
        alice.delete_network_interface(NetworkInterfaceId=address["NetworkInterfaceId"])
    alice.delete_nat_gateway(NatGatewayId=gateway_id)
    alice.delete_nat_gateway(NatGatewayId=gateway_id)
    alice.release_address(AllocationId=address["AllocationId"])

    assert described(alice, gateway_id)["State"] == "deleted"
    assert alice.describe_network_interfaces()["NetworkInterfaces"] == []


def test_a_private_one_has_no_public_address(alice: "EC2Client") -> None:
    subnet_id = new_subnet(alice, new_vpc(alice))

    made = alice.create_nat_gateway(SubnetId=subnet_id, ConnectivityType="private", PrivateIpAddress="10.0.1.99")

    (address,) = described(alice, made["NatGateway"]["NatGatewayId"])["NatGatewayAddresses"]
    assert address["PrivateIp"] == "10.0.1.99"
    assert "PublicIp" not in address


def test_what_cannot_be_made_is_refused(alice: "EC2Client", bob: "EC2Client", subnet_id: str) -> None:
    alone = new_subnet(alice, new_vpc(alice))
    allocation_id = alice.allocate_address()["AllocationId"]

    with refused("Gateway.NotAttached"):
        alice.create_nat_gateway(SubnetId=alone, AllocationId=allocation_id)
    with refused("MissingParameter"):
        alice.create_nat_gateway(SubnetId=subnet_id)
    with refused("InvalidAllocationID.NotFound"):
        alice.create_nat_gateway(SubnetId=subnet_id, AllocationId="eipalloc-00000000000000000")
    with refused("InvalidSubnetID.NotFound"):
        bob.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id)
    with refused("InvalidParameterCombination"):
        alice.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id, ConnectivityType="private")
    with refused("InvalidParameterValue"):
        alice.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id, PrivateIpAddress="10.9.9.9")
    with refused("InvalidParameterValue"):
        alice.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id, AvailabilityMode="regional")
    alice.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id)
    with refused("Resource.AlreadyAssociated"):
        alice.create_nat_gateway(SubnetId=subnet_id, AllocationId=allocation_id)


def test_one_belongs_to_its_account(alice: "EC2Client", bob: "EC2Client", subnet_id: str) -> None:
    gateway_id = new_nat_gateway(alice, subnet_id)

    with refused("NatGatewayNotFound"):
        described(bob, gateway_id)
    with refused("NatGatewayNotFound"):
        bob.delete_nat_gateway(NatGatewayId=gateway_id)
    with refused("NatGatewayMalformed"):
        described(bob, "nat-x")


def test_every_filter_finds_it(alice: "EC2Client", subnet_id: str) -> None:
    other = new_vpc(alice, "10.9.0.0/16")
    new_gateway(alice, other)
    new_nat_gateway(alice, new_subnet(alice, other, "10.9.1.0/24"))  # what no filter is to find
    gateway_id = new_nat_gateway(alice, subnet_id)
    alice.create_tags(Resources=[gateway_id], Tags=[{"Key": "k", "Value": "v"}])

    for name, value in {
        "nat-gateway-id": gateway_id,
        "subnet-id": subnet_id,
        "tag:k": "v",
        "tag-key": "k",
        "vpc-id": described(alice, gateway_id)["VpcId"],
    }.items():
        assert found(alice, name, value) == [gateway_id], name
    assert len(found(alice, "state", "available")) == 2


def test_a_deleted_one_is_forgotten_after_an_hour(running: RunningServer) -> None:
    client = running.ec2()
    vpc_id = new_vpc(client)
    new_gateway(client, vpc_id)
    gateway_id = new_nat_gateway(client, new_subnet(client, vpc_id))
    client.delete_nat_gateway(NatGatewayId=gateway_id)
    gateways = running.server.app.nat_gateways
    later = running.server.context.now() + timedelta(hours=2)

    running.call(gateways.forget_deleted())
    assert described(client, gateway_id)["State"] == "deleted"
    running.call(gateways.forget_deleted(later))
    with refused("NatGatewayNotFound"):
        described(client, gateway_id)
