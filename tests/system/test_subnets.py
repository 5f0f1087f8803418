"""Subnets as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.networking import new_gateway, new_subnet, new_table, new_vpc, of_vpc, table, tagged
from tests.system.refusals import contents, refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def subnet(client: "EC2Client", subnet_id: str) -> Any:
    return client.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]


def ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [it["SubnetId"] for it in client.describe_subnets(Filters=wanted)["Subnets"]]


def test_a_subnet_is_private_until_it_is_told_otherwise(alice: "EC2Client") -> None:
    made = alice.create_subnet(VpcId=new_vpc(alice), CidrBlock="10.0.1.0/24", AvailabilityZoneId="use1-az2")["Subnet"]

    shown = subnet(alice, made["SubnetId"])
    assert (made["State"], shown["State"]) == ("pending", "available")
    assert (shown["AvailabilityZone"], shown["AvailableIpAddressCount"]) == ("us-east-1b", 251)
    assert not any(shown[name] for name in ("DefaultForAz", "MapPublicIpOnLaunch", "AssignIpv6AddressOnCreation"))


@pytest.mark.parametrize(
    ("cidr", "code"),
    [
        ("10.1.0.0/24", "InvalidSubnet.Range"),
        ("10.0.0.0/29", "InvalidSubnet.Range"),
        ("10.0.0.0/15", "InvalidSubnet.Range"),
        ("10.0.1.0/25", "InvalidSubnet.Conflict"),
        ("10.0.0.0/16", "InvalidSubnet.Conflict"),
        ("10.0.1", "InvalidParameterValue"),
    ],
)
def test_a_range_that_the_vpc_cannot_give_is_refused(
    alice: "EC2Client", shared: RunningServer, cidr: str, code: str
) -> None:
    vpc_id = new_vpc(alice)
    new_subnet(alice, vpc_id)
    before = contents(shared)

    with refused(code):
        new_subnet(alice, vpc_id, cidr)

    assert contents(shared) == before


def test_a_subnet_needs_a_range_and_a_zone_of_its_region(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    with refused("MissingParameter"):
        alice.create_subnet(VpcId=vpc_id)
    for zone in ({"AvailabilityZone": "eu-west-1a"}, {"AvailabilityZoneId": "euw1-az1"}):
        with refused("InvalidParameterValue"):
            new_subnet(alice, vpc_id, **zone)
    with refused("InvalidVpcID.NotFound"):
        new_subnet(alice, "vpc-0123456789abcdef0")
    with refused("UnsupportedOperation"):
        new_subnet(alice, vpc_id, Ipv6Native=True)


def test_subnets_are_chosen_by_filters(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)
    ipv6 = ipv6_part(alice, vpc_id, 1)
    made = new_subnet(alice, vpc_id, Ipv6CidrBlock=ipv6, TagSpecifications=tagged("subnet", tier="web"))
    association = subnet(alice, made)["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]

    for name, value in {
        "tag:tier": "web",
        "available-ip-address-count": "251",
        "availability-zone-id": "use1-az1",
        "default-for-az": "false",
        "enable-dns64": "false",
        "ipv6-cidr-block-association.association-id": association,
        "ipv6-cidr-block-association.ipv6-cidr-block": ipv6,
        "ipv6-cidr-block-association.state": "associated",
        "map-public-ip-on-launch": "false",
        "map-customer-owned-ip-on-launch": "false",
        "private-dns-name-options-on-launch.hostname-type": "ip-name",
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": "false",
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": "false",
        "subnet-arn": f"*:subnet/{made}",
    }.items():
        assert ids(alice, ("vpc-id", vpc_id), (name, value)) == [made], name
    assert ids(alice, ("outpost-arn", "*")) == ids(alice, ("customer-owned-ipv4-pool", "*")) == []


def ipv6_part(client: "EC2Client", vpc_id: str, number: int) -> str:
    (whole,) = client.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    return whole["Ipv6CidrBlock"].replace("00::/56", f"{number:02x}::/64")


def test_a_subnet_s_attributes_are_changed_one_at_a_time(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)
    made = new_subnet(alice, vpc_id, Ipv6CidrBlock=ipv6_part(alice, vpc_id, 1))
    changes: list[Any] = [
        {"MapPublicIpOnLaunch": {"Value": True}},
        {"AssignIpv6AddressOnCreation": {"Value": True}},
        {"PrivateDnsHostnameTypeOnLaunch": "resource-name"},
        {"EnableResourceNameDnsARecordOnLaunch": {"Value": True}},
        {"EnableResourceNameDnsAAAARecordOnLaunch": {"Value": False}},
        {"EnableDns64": {"Value": False}},
    ]

    for change in changes:
        alice.modify_subnet_attribute(SubnetId=made, **change)

    shown = subnet(alice, made)
    assert shown["MapPublicIpOnLaunch"]
    assert shown["AssignIpv6AddressOnCreation"]
    assert shown["PrivateDnsNameOptionsOnLaunch"] == {
        "HostnameType": "resource-name",
        "EnableResourceNameDnsARecord": True,
        "EnableResourceNameDnsAAAARecord": False,
    }
    with refused("InvalidParameterCombination"):
        alice.modify_subnet_attribute(SubnetId=made, **changes[0], **changes[1])
    for unsupported in ("EnableDns64", "MapCustomerOwnedIpOnLaunch"):
        never: Any = {unsupported: {"Value": True}}
        with refused("UnsupportedOperation"):
            alice.modify_subnet_attribute(SubnetId=made, **never)
    with refused("MissingParameter"):
        alice.modify_subnet_attribute(SubnetId=made)


def test_ipv6_addresses_need_an_ipv6_range(alice: "EC2Client") -> None:
    made = new_subnet(alice, new_vpc(alice))

    with refused("InvalidParameterValue"):
        alice.modify_subnet_attribute(SubnetId=made, AssignIpv6AddressOnCreation={"Value": True})
    with refused("InvalidSubnet.Range"):
        alice.associate_subnet_cidr_block(SubnetId=made, Ipv6CidrBlock="fdba::/64")


def test_a_subnet_gets_an_ipv6_range_and_loses_it(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)
    first, second = new_subnet(alice, vpc_id), new_subnet(alice, vpc_id, "10.0.2.0/24")
    cidr = ipv6_part(alice, vpc_id, 7)

    added = alice.associate_subnet_cidr_block(SubnetId=first, Ipv6CidrBlock=cidr)["Ipv6CidrBlockAssociation"]

    assert subnet(alice, first)["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"] == cidr
    for taken in (first, second):
        with refused("InvalidSubnet.Conflict"):
            alice.associate_subnet_cidr_block(SubnetId=taken, Ipv6CidrBlock=cidr)
    with refused("InvalidSubnet.Range"):
        alice.associate_subnet_cidr_block(SubnetId=second, Ipv6CidrBlock=cidr.replace("/64", "/80"))
    with refused("DependencyViolation"):
        (whole,) = alice.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
        alice.disassociate_vpc_cidr_block(AssociationId=whole["AssociationId"])
    alice.disassociate_subnet_cidr_block(AssociationId=added["AssociationId"])
    assert subnet(alice, first)["Ipv6CidrBlockAssociationSet"] == []
    with refused("InvalidSubnetCidrBlockAssociationID.NotFound"):
        alice.disassociate_subnet_cidr_block(AssociationId=added["AssociationId"])


def test_a_deleted_subnet_dissolves_its_associations(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    made, table_id = new_subnet(alice, vpc_id), new_table(alice, vpc_id)
    alice.associate_route_table(RouteTableId=table_id, SubnetId=made)

    alice.delete_subnet(SubnetId=made)

    assert table(alice, table_id)["Associations"] == []
    assert alice.describe_network_acls(Filters=of_vpc(vpc_id))["NetworkAcls"][0]["Associations"] == []
    alice.delete_route_table(RouteTableId=table_id)
    with refused("InvalidSubnetID.NotFound"):
        alice.delete_subnet(SubnetId=made)


def test_a_subnet_with_a_machine_in_it_stays(shop: Shop) -> None:
    made = new_subnet(shop.ec2, new_vpc(shop.ec2))
    shop.launch_ids(MinCount=1, MaxCount=1, SubnetId=made)

    with refused("DependencyViolation"):
        shop.ec2.delete_subnet(SubnetId=made)

    assert subnet(shop.ec2, made)["AvailableIpAddressCount"] == 250


def test_there_is_no_default_subnet_of_a_zone_that_is_none(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        alice.create_default_subnet(AvailabilityZone="us-east-1z")


def test_a_deleted_default_subnet_comes_back_when_it_is_asked_for(alice: "EC2Client") -> None:
    first = ids(alice)[0]
    with refused("DefaultSubnetAlreadyExistsInAvailabilityZone"):
        alice.create_default_subnet(AvailabilityZone="us-east-1a")
    alice.delete_subnet(SubnetId=first)

    again = alice.create_default_subnet(AvailabilityZone="us-east-1a")["Subnet"]

    assert (again["CidrBlock"], again["DefaultForAz"], again["MapPublicIpOnLaunch"]) == ("172.31.0.0/20", True, True)
    with refused("MissingParameter"):
        alice.create_default_subnet()


def test_a_launch_into_a_private_subnet_has_a_private_address_only(shop: Shop) -> None:
    made = new_subnet(shop.ec2, new_vpc(shop.ec2))

    instance = shop.launch(SubnetId=made)

    assert (instance["SubnetId"], instance["PrivateIpAddress"]) == (made, "10.0.1.4")
    assert "PublicIpAddress" not in instance
    assert [it["GroupName"] for it in instance["SecurityGroups"]] == ["default"]


def test_a_launch_into_a_public_subnet_is_reached_from_outside(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2)
    new_gateway(shop.ec2, vpc_id)
    made = new_subnet(shop.ec2, vpc_id)
    shop.ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True})

    assert shop.launch(SubnetId=made)["PublicIpAddress"].startswith("127.")


def test_a_launch_is_called_as_its_subnet_says(shop: Shop) -> None:
    made = new_subnet(shop.ec2, new_vpc(shop.ec2))
    shop.ec2.modify_subnet_attribute(SubnetId=made, PrivateDnsHostnameTypeOnLaunch="resource-name")
    shop.ec2.modify_subnet_attribute(SubnetId=made, EnableResourceNameDnsARecordOnLaunch={"Value": True})

    first = shop.launch(SubnetId=made)
    second = shop.launch(SubnetId=made, PrivateDnsNameOptions={"HostnameType": "ip-name"})

    assert first["PrivateDnsName"] == f"{first['InstanceId']}.ec2.internal"
    assert first["PrivateDnsNameOptions"]["EnableResourceNameDnsARecord"]
    assert second["PrivateDnsName"] == "ip-10-0-1-5.ec2.internal"


def test_groups_of_another_vpc_are_refused_at_launch(shop: Shop) -> None:
    made = new_subnet(shop.ec2, new_vpc(shop.ec2))
    elsewhere = shop.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]

    with refused("InvalidParameter"):
        shop.launch_ids(MinCount=1, MaxCount=1, SubnetId=made, SecurityGroupIds=[elsewhere])


def test_another_account_s_subnet_cannot_be_touched(alice: "EC2Client", bob: "EC2Client") -> None:
    made = new_subnet(alice, new_vpc(alice))
    attempts: list[Any] = [
        lambda: bob.delete_subnet(SubnetId=made),
        lambda: bob.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True}),
        lambda: bob.associate_subnet_cidr_block(SubnetId=made, Ipv6CidrBlock="fdba::/64"),
        lambda: bob.associate_route_table(SubnetId=made, RouteTableId=new_table(bob, new_vpc(bob))),
    ]

    for attempt in attempts:
        with refused("InvalidSubnetID.NotFound"):
            attempt()
