"""Internet gateways, and egress-only ones, as boto3 sees them."""

from typing import TYPE_CHECKING, Any

from tests.system.networking import new_gateway, new_subnet, new_table, new_vpc, table, tagged
from tests.system.refusals import refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def gateway(client: "EC2Client", gateway_id: str) -> Any:
    return client.describe_internet_gateways(InternetGatewayIds=[gateway_id])["InternetGateways"][0]


def ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [it["InternetGatewayId"] for it in client.describe_internet_gateways(Filters=wanted)["InternetGateways"]]


def test_a_gateway_is_attached_and_detached(alice: "EC2Client") -> None:
    vpc_id, gateway_id = new_vpc(alice), new_gateway(alice)
    before = gateway(alice, gateway_id)["Attachments"]

    alice.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    during = gateway(alice, gateway_id)["Attachments"]
    alice.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)

    assert before == gateway(alice, gateway_id)["Attachments"] == []
    assert during == [{"State": "available", "VpcId": vpc_id}]


def test_a_gateway_has_one_vpc_and_a_vpc_one_gateway(alice: "EC2Client") -> None:
    first, second = new_vpc(alice), new_vpc(alice)
    gateway_id = new_gateway(alice, first)

    for vpc_id in (first, second):
        with refused("Resource.AlreadyAssociated"):
            alice.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    with refused("InvalidParameterValue"):
        new_gateway(alice, first)
    with refused("Gateway.NotAttached"):
        alice.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=second)


def test_an_attached_gateway_stays(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    gateway_id = new_gateway(alice, vpc_id)

    with refused("DependencyViolation"):
        alice.delete_internet_gateway(InternetGatewayId=gateway_id)
    alice.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    alice.delete_internet_gateway(InternetGatewayId=gateway_id)

    with refused("InvalidInternetGatewayID.NotFound"):
        gateway(alice, gateway_id)


def test_a_gateway_is_not_detached_under_public_addresses(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2)
    gateway_id = new_gateway(shop.ec2, vpc_id)
    subnet_id = new_subnet(shop.ec2, vpc_id)
    shop.ec2.modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True})
    instance_id = shop.launch(SubnetId=subnet_id)["InstanceId"]

    with refused("DependencyViolation"):
        shop.ec2.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    shop.stop(instance_id)
    shop.ec2.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)


def test_gateways_are_chosen_by_filters(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    made = new_gateway(alice, vpc_id)
    free = alice.create_internet_gateway(TagSpecifications=tagged("internet-gateway", Name="free"))
    free_id = free["InternetGateway"]["InternetGatewayId"]

    assert ids(alice, ("attachment.vpc-id", vpc_id)) == [made]
    assert made in ids(alice, ("attachment.state", "available"))
    assert free_id not in ids(alice, ("attachment.state", "available"))
    assert ids(alice, ("tag:Name", "free")) == ids(alice, ("internet-gateway-id", free_id)) == [free_id]
    assert len(ids(alice, ("owner-id", free["InternetGateway"]["OwnerId"]))) == 3
    with refused("InvalidParameterValue"):
        ids(alice, ("vpc-id", vpc_id))


def test_another_account_s_gateway_cannot_be_touched(alice: "EC2Client", bob: "EC2Client") -> None:
    gateway_id, vpc_id = new_gateway(alice), new_vpc(bob)
    attempts: list[Any] = [
        lambda: bob.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id),
        lambda: bob.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id),
        lambda: bob.delete_internet_gateway(InternetGatewayId=gateway_id),
        lambda: gateway(bob, gateway_id),
    ]

    for attempt in attempts:
        with refused("InvalidInternetGatewayID.NotFound"):
            attempt()
    with refused("InvalidInternetGatewayId.Malformed"):
        gateway(bob, "igw")
    with refused("InvalidVpcID.NotFound"):
        alice.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)


def egress_only(client: "EC2Client", vpc_id: str, **members: Any) -> str:
    made = client.create_egress_only_internet_gateway(VpcId=vpc_id, **members)["EgressOnlyInternetGateway"]
    return made["EgressOnlyInternetGatewayId"]


def test_an_egress_only_gateway_is_attached_until_it_is_deleted(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)
    made = egress_only(alice, vpc_id)
    table_id = new_table(alice, vpc_id)
    alice.create_route(RouteTableId=table_id, DestinationIpv6CidrBlock="::/0", EgressOnlyInternetGatewayId=made)

    (shown,) = alice.describe_egress_only_internet_gateways(EgressOnlyInternetGatewayIds=[made])[
        "EgressOnlyInternetGateways"
    ]
    assert shown["Attachments"] == [{"State": "attached", "VpcId": vpc_id}]
    assert table(alice, table_id)["Routes"][-1]["State"] == "active"
    assert alice.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=made)["ReturnCode"]
    assert table(alice, table_id)["Routes"][-1]["State"] == "blackhole"
    with refused("InvalidGatewayID.NotFound"):
        alice.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=made)


def test_a_repeated_egress_only_gateway_is_the_same(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    made = {egress_only(alice, vpc_id, ClientToken="once") for _ in range(2)}

    assert len(made) == 1


def test_egress_only_gateways_are_chosen_by_tags(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    egress_only(alice, vpc_id)
    made = egress_only(alice, vpc_id, TagSpecifications=tagged("egress-only-internet-gateway", Name="v6"))

    found = alice.describe_egress_only_internet_gateways(Filters=[{"Name": "tag:Name", "Values": ["v6"]}])

    assert [it["EgressOnlyInternetGatewayId"] for it in found["EgressOnlyInternetGateways"]] == [made]
