"""Route tables and routes as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.system.networking import new_gateway, new_subnet, new_table, new_vpc, of_vpc, table, tagged
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

OUTSIDE = "0.0.0.0/0"


def ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [it["RouteTableId"] for it in client.describe_route_tables(Filters=wanted)["RouteTables"]]


def routes(client: "EC2Client", table_id: str) -> dict[str, Any]:
    """Return a table's routes by what they lead to from."""
    found: dict[str, Any] = {}
    for route in table(client, table_id)["Routes"]:
        found[route.get("DestinationCidrBlock") or route["DestinationIpv6CidrBlock"]] = route
    return found


def test_a_table_leads_within_its_vpc_only(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)

    made = table(alice, new_table(alice, vpc_id))

    assert (made["VpcId"], made["Associations"], made["PropagatingVgws"]) == (vpc_id, [], [])
    assert [(it["GatewayId"], it["Origin"], it["State"]) for it in made["Routes"]] == [
        ("local", "CreateRouteTable", "active"),
        ("local", "CreateRouteTable", "active"),
    ]


def test_a_route_to_the_gateway_is_made_replaced_and_deleted(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    gateway_id, table_id = new_gateway(alice, vpc_id), new_table(alice, vpc_id)

    assert alice.create_route(RouteTableId=table_id, DestinationCidrBlock="9.9.9.9/0", GatewayId=gateway_id)["Return"]
    assert routes(alice, table_id)[OUTSIDE] == {
        "DestinationCidrBlock": OUTSIDE,
        "GatewayId": gateway_id,
        "Origin": "CreateRoute",
        "State": "active",
    }
    with refused("RouteAlreadyExists"):
        alice.create_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId=gateway_id)
    alice.replace_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId=gateway_id)
    alice.delete_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE)
    assert list(routes(alice, table_id)) == ["10.0.0.0/16"]
    with refused("InvalidRoute.NotFound"):
        alice.delete_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE)
    with refused("InvalidParameterValue"):
        alice.replace_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId=gateway_id)


def test_a_route_to_a_detached_gateway_is_a_blackhole(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    gateway_id, table_id = new_gateway(alice, vpc_id), new_table(alice, vpc_id)
    alice.create_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId=gateway_id)

    alice.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)

    assert routes(alice, table_id)[OUTSIDE]["State"] == "blackhole"
    assert ids(alice, ("vpc-id", vpc_id), ("route.state", "blackhole")) == [table_id]
    alice.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    assert routes(alice, table_id)[OUTSIDE]["State"] == "active"


def test_a_route_leads_to_an_instance_by_its_interface(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2)
    instance = shop.launch(SubnetId=new_subnet(shop.ec2, vpc_id))
    interface_id = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    table_id = new_table(shop.ec2, vpc_id)

    shop.ec2.create_route(
        RouteTableId=table_id, DestinationCidrBlock="192.168.0.0/16", InstanceId=instance["InstanceId"]
    )
    shop.ec2.create_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, NetworkInterfaceId=interface_id)

    for route in list(routes(shop.ec2, table_id).values())[1:]:
        assert (route["InstanceId"], route["NetworkInterfaceId"]) == (instance["InstanceId"], interface_id)
        assert (route["InstanceOwnerId"], route["State"]) == (shop.account_id, "active")
    found = ids(shop.ec2, ("route.instance-id", instance["InstanceId"]))
    assert found == ids(shop.ec2, ("route.network-interface-id", interface_id)) == [table_id]
    shop.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[instance["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    assert routes(shop.ec2, table_id)[OUTSIDE]["State"] == "blackhole"


def test_within_the_vpc_routes_lead_to_interfaces_only(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2)
    subnet_id = new_subnet(shop.ec2, vpc_id)
    interface_id = shop.launch(SubnetId=subnet_id)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    gateway_id, table_id = new_gateway(shop.ec2, vpc_id), new_table(shop.ec2, vpc_id)

    with refused("InvalidParameterValue"):
        shop.ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="10.0.1.0/24", GatewayId=gateway_id)
    with refused("InvalidParameterValue"):
        shop.ec2.create_route(
            RouteTableId=table_id, DestinationCidrBlock="10.0.1.0/25", NetworkInterfaceId=interface_id
        )
    with refused("RouteAlreadyExists"):
        shop.ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="10.0.0.0/16", GatewayId=gateway_id)
    with refused("InvalidParameterValue"):
        shop.ec2.delete_route(RouteTableId=table_id, DestinationCidrBlock="10.0.0.0/16")
    shop.ec2.create_route(RouteTableId=table_id, DestinationCidrBlock="10.0.1.0/24", NetworkInterfaceId=interface_id)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"DestinationCidrBlock": OUTSIDE}, "MissingParameter"),
        ({"DestinationCidrBlock": "nowhere", "GatewayId": "igw-0123456789abcdef0"}, "InvalidParameterValue"),
        ({"DestinationIpv6CidrBlock": OUTSIDE, "GatewayId": "igw-0123456789abcdef0"}, "InvalidParameterValue"),
        (
            {"DestinationCidrBlock": OUTSIDE, "DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-0"},
            "InvalidParameterCombination",
        ),
        ({"DestinationCidrBlock": OUTSIDE, "GatewayId": "igw-0123456789abcdef0"}, "InvalidGatewayID.NotFound"),
        ({"DestinationCidrBlock": OUTSIDE, "GatewayId": "local"}, "InvalidGatewayID.NotFound"),
        ({"DestinationCidrBlock": OUTSIDE, "NatGatewayId": "nat-0123456789abcdef0"}, "NatGatewayNotFound"),
        (
            {"DestinationCidrBlock": OUTSIDE, "NetworkInterfaceId": "eni-0123456789abcdef0"},
            "InvalidNetworkInterfaceID.NotFound",
        ),
        ({"DestinationCidrBlock": OUTSIDE, "InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
        (
            {"DestinationCidrBlock": OUTSIDE, "GatewayId": "igw-0123456789abcdef0", "InstanceId": "i-0"},
            "InvalidParameterCombination",
        ),
        (
            {"DestinationCidrBlock": OUTSIDE, "VpcPeeringConnectionId": "pcx-0123456789abcdef0"},
            "UnsupportedOperation",
        ),
        ({"DestinationCidrBlock": OUTSIDE, "TransitGatewayId": "tgw-0123456789abcdef0"}, "UnsupportedOperation"),
    ],
)
def test_a_route_to_nowhere_is_refused(alice: "EC2Client", members: Any, code: str) -> None:
    table_id = new_table(alice, new_vpc(alice))

    with refused(code):
        alice.create_route(RouteTableId=table_id, **members)

    assert list(routes(alice, table_id)) == ["10.0.0.0/16"]


def test_what_a_route_leads_to_is_of_the_same_vpc(alice: "EC2Client") -> None:
    table_id, elsewhere = new_table(alice, new_vpc(alice)), new_vpc(alice)
    egress = alice.create_egress_only_internet_gateway(VpcId=elsewhere)["EgressOnlyInternetGateway"]

    with refused("InvalidParameterValue"):
        alice.create_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId=new_gateway(alice, elsewhere))
    with refused("InvalidParameterValue"):
        alice.create_route(
            RouteTableId=table_id,
            DestinationIpv6CidrBlock="::/0",
            EgressOnlyInternetGatewayId=egress["EgressOnlyInternetGatewayId"],
        )


def test_a_subnet_uses_one_table(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    subnet_id, first, second = new_subnet(alice, vpc_id), new_table(alice, vpc_id), new_table(alice, vpc_id)

    association_id = alice.associate_route_table(RouteTableId=first, SubnetId=subnet_id)["AssociationId"]

    assert alice.associate_route_table(RouteTableId=first, SubnetId=subnet_id)["AssociationId"] == association_id
    with refused("Resource.AlreadyAssociated"):
        alice.associate_route_table(RouteTableId=second, SubnetId=subnet_id)
    with refused("InvalidParameterValue"):
        alice.associate_route_table(RouteTableId=new_table(alice, new_vpc(alice)), SubnetId=subnet_id)
    with refused("MissingParameter"):
        alice.associate_route_table(RouteTableId=first)
    with refused("DependencyViolation"):
        alice.delete_route_table(RouteTableId=first)
    replaced = alice.replace_route_table_association(AssociationId=association_id, RouteTableId=second)
    assert table(alice, first)["Associations"] == []
    (shown,) = table(alice, second)["Associations"]
    assert shown == {
        "Main": False,
        "RouteTableAssociationId": replaced["NewAssociationId"],
        "RouteTableId": second,
        "SubnetId": subnet_id,
        "AssociationState": {"State": "associated"},
    }
    alice.disassociate_route_table(AssociationId=replaced["NewAssociationId"])
    assert table(alice, second)["Associations"] == []
    with refused("InvalidAssociationID.NotFound"):
        alice.disassociate_route_table(AssociationId=replaced["NewAssociationId"])


def test_another_table_becomes_the_main_one(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    (old,) = alice.describe_route_tables(Filters=of_vpc(vpc_id))["RouteTables"]
    (association,) = old["Associations"]
    new = new_table(alice, vpc_id)
    with refused("DependencyViolation"):
        alice.delete_route_table(RouteTableId=old["RouteTableId"])
    with refused("InvalidParameterValue"):
        alice.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])

    alice.replace_route_table_association(AssociationId=association["RouteTableAssociationId"], RouteTableId=new)

    assert ids(alice, ("vpc-id", vpc_id), ("association.main", "true")) == [new]
    alice.delete_route_table(RouteTableId=old["RouteTableId"])
    alice.delete_vpc(VpcId=vpc_id)


def test_tables_are_chosen_by_filters(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)
    subnet_id, gateway_id = new_subnet(alice, vpc_id), new_gateway(alice, vpc_id)
    made = alice.create_route_table(VpcId=vpc_id, TagSpecifications=tagged("route-table", tier="web"))["RouteTable"]
    table_id = made["RouteTableId"]
    association_id = alice.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)["AssociationId"]
    alice.create_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId=gateway_id)
    alice.create_route(RouteTableId=table_id, DestinationIpv6CidrBlock="::/0", GatewayId=gateway_id)

    for name, value in {
        "association.main": "false",
        "association.route-table-association-id": association_id,
        "association.subnet-id": subnet_id,
        "association.route-table-id": table_id,
        "route-table-id": table_id,
        "route.destination-cidr-block": OUTSIDE,
        "route.destination-ipv6-cidr-block": "::/0",
        "route.gateway-id": gateway_id,
        "route.origin": "CreateRoute",
        "tag:tier": "web",
    }.items():
        assert ids(alice, ("vpc-id", vpc_id), (name, value)) == [table_id], name
    for name in (
        "association.gateway-id",
        "route.destination-prefix-list-id",
        "route.egress-only-internet-gateway-id",
        "route.nat-gateway-id",
        "route.transit-gateway-id",
        "route.vpc-peering-connection-id",
    ):
        assert ids(alice, (name, "*")) == []
    assert len(ids(alice, ("owner-id", made["OwnerId"]), ("route.state", "active"))) == 3


def test_a_repeated_table_is_the_same(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    made = [alice.create_route_table(VpcId=vpc_id, ClientToken="once")["RouteTable"] for _ in range(2)]

    assert made[0] == made[1]


def test_another_account_s_table_cannot_be_touched(alice: "EC2Client", bob: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    table_id, subnet_id = new_table(alice, vpc_id), new_subnet(alice, vpc_id)
    association_id = alice.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)["AssociationId"]
    attempts: list[Any] = [
        lambda: table(bob, table_id),
        lambda: bob.delete_route_table(RouteTableId=table_id),
        lambda: bob.create_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId="igw-0"),
        lambda: bob.replace_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE, GatewayId="igw-0"),
        lambda: bob.delete_route(RouteTableId=table_id, DestinationCidrBlock=OUTSIDE),
        lambda: bob.associate_route_table(RouteTableId=table_id, SubnetId=new_subnet(bob, new_vpc(bob))),
    ]

    for attempt in attempts:
        with refused("InvalidRouteTableID.NotFound"):
            attempt()
    with refused("InvalidAssociationID.NotFound"):
        bob.disassociate_route_table(AssociationId=association_id)
    with refused("InvalidAssociationID.NotFound"):
        bob.replace_route_table_association(AssociationId=association_id, RouteTableId=new_table(bob, new_vpc(bob)))
