"""VPCs as boto3 sees them."""

from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.networking import new_gateway, new_subnet, new_vpc, of_vpc, tagged
from tests.system.refusals import contents, refused
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


def vpc(client: "EC2Client", vpc_id: str) -> Any:
    return client.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]


def ids(client: "EC2Client", *filters: tuple[str, str]) -> list[str]:
    wanted: Any = [{"Name": name, "Values": [value]} for name, value in filters]
    return [it["VpcId"] for it in client.describe_vpcs(Filters=wanted)["Vpcs"]]


def test_a_vpc_is_pending_in_its_first_answer_and_available_from_then_on(alice: "EC2Client") -> None:
    made = alice.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]

    assert made["State"] == "pending"
    shown = vpc(alice, made["VpcId"])
    assert (shown["State"], shown["CidrBlock"], shown["IsDefault"]) == ("available", "10.0.0.0/16", False)
    assert shown["InstanceTenancy"] == "default"


def test_a_vpc_has_its_group_table_acl_and_options_from_the_beginning(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    (group,) = alice.describe_security_groups(Filters=of_vpc(vpc_id))["SecurityGroups"]
    (table,) = alice.describe_route_tables(Filters=of_vpc(vpc_id))["RouteTables"]
    (acl,) = alice.describe_network_acls(Filters=of_vpc(vpc_id))["NetworkAcls"]
    (options,) = alice.describe_dhcp_options(DhcpOptionsIds=[vpc(alice, vpc_id)["DhcpOptionsId"]])["DhcpOptions"]
    assert group["GroupName"] == "default"
    assert [route["GatewayId"] for route in table["Routes"]] == ["local"]
    assert acl["IsDefault"]
    assert {it["Key"] for it in options["DhcpConfigurations"]} == {"domain-name", "domain-name-servers"}
    assert (
        alice.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc_id]}])[
            "InternetGateways"
        ]
        == []
    )


def test_the_default_vpc_leads_outside(alice: "EC2Client") -> None:
    (default,) = alice.describe_vpcs()["Vpcs"]

    (gateway,) = alice.describe_internet_gateways()["InternetGateways"]
    (table,) = alice.describe_route_tables()["RouteTables"]
    assert gateway["Attachments"] == [{"State": "available", "VpcId": default["VpcId"]}]
    assert {(it["DestinationCidrBlock"], it["GatewayId"], it["State"]) for it in table["Routes"]} == {
        ("172.31.0.0/16", "local", "active"),
        ("0.0.0.0/0", gateway["InternetGatewayId"], "active"),
    }


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("10.0.0.0/15", "InvalidVpc.Range"),
        ("10.0.0.0/29", "InvalidVpc.Range"),
        ("127.0.0.0/16", "InvalidVpc.Range"),
        ("100.127.0.0/20", "InvalidVpc.Range"),
        ("169.254.0.0/16", "InvalidVpc.Range"),
        ("10.0.0.0", "InvalidParameterValue"),
        ("10.0.0/16", "InvalidParameterValue"),
        ("fd00::/56", "InvalidParameterValue"),
    ],
)
def test_a_range_that_no_vpc_may_have_is_refused(
    alice: "EC2Client", shared: RunningServer, given: str, code: str
) -> None:
    alice.describe_vpcs()
    before = contents(shared)

    with refused(code):
        new_vpc(alice, given)

    assert contents(shared) == before


def test_a_range_is_brought_into_canonical_form(alice: "EC2Client") -> None:
    assert vpc(alice, new_vpc(alice, "100.68.0.18/18"))["CidrBlock"] == "100.68.0.0/18"


def test_two_vpcs_may_have_the_same_range(alice: "EC2Client") -> None:
    assert new_vpc(alice) != new_vpc(alice)


def test_what_needs_ipam_pools_or_hardware_of_one_s_own_is_refused(alice: "EC2Client") -> None:
    with refused("UnsupportedOperation"):
        new_vpc(alice, InstanceTenancy="dedicated")
    with refused("UnsupportedOperation"):
        alice.create_vpc(Ipv4IpamPoolId="ipam-pool-0123456789abcdef0", Ipv4NetmaskLength=24)
    with refused("MissingParameter"):
        alice.create_vpc()


def test_vpcs_are_chosen_by_filters(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True, TagSpecifications=tagged("vpc", Name="web"))
    shown = vpc(alice, vpc_id)
    ipv6 = shown["Ipv6CidrBlockAssociationSet"][0]

    assert ids(alice, ("is-default", "false")) == ids(alice, ("isDefault", "false")) == [vpc_id]
    assert ids(alice, ("tag:Name", "web"), ("cidr", "10.0.0.0/16"), ("state", "available")) == [vpc_id]
    assert ids(alice, ("cidr-block-association.cidr-block", "10.0.*")) == [vpc_id]
    assert ids(alice, ("cidr-block-association.association-id", "vpc-cidr-assoc-*")) == ids(alice)
    assert ids(alice, ("ipv6-cidr-block-association.ipv6-cidr-block", ipv6["Ipv6CidrBlock"])) == [vpc_id]
    assert ids(alice, ("ipv6-cidr-block-association.association-id", ipv6["AssociationId"])) == [vpc_id]
    assert ids(alice, ("ipv6-cidr-block-association.state", "associated")) == [vpc_id]
    assert ids(alice, ("dhcp-options-id", shown["DhcpOptionsId"])) == ids(alice)
    assert ids(alice, ("owner-id", shown["OwnerId"])) == ids(alice)
    with refused("InvalidParameterValue"):
        ids(alice, ("colour", "red"))


def test_vpcs_come_in_pages(alice: "EC2Client") -> None:
    made = {new_vpc(alice) for _ in range(6)}

    pages = list(alice.get_paginator("describe_vpcs").paginate(PaginationConfig={"PageSize": 5}))

    assert [len(it["Vpcs"]) for it in pages] == [5, 2]
    assert made < {it["VpcId"] for page in pages for it in page["Vpcs"]}


def test_a_deleted_vpc_takes_along_what_it_began_with(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    alice.delete_vpc(VpcId=vpc_id)

    with refused("InvalidVpcID.NotFound"):
        vpc(alice, vpc_id)
    assert alice.describe_security_groups(Filters=of_vpc(vpc_id))["SecurityGroups"] == []
    assert alice.describe_route_tables(Filters=of_vpc(vpc_id))["RouteTables"] == []
    assert alice.describe_network_acls(Filters=of_vpc(vpc_id))["NetworkAcls"] == []
    with refused("InvalidVpcID.NotFound"):
        alice.delete_vpc(VpcId=vpc_id)


def test_a_vpc_with_anything_in_it_stays(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    subnet_id = alice.create_subnet(VpcId=vpc_id, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    group_id = alice.create_security_group(GroupName="web", Description="d", VpcId=vpc_id)["GroupId"]
    table_id = alice.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    acl_id = alice.create_network_acl(VpcId=vpc_id)["NetworkAcl"]["NetworkAclId"]
    gateway_id = alice.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    alice.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id)
    egress = alice.create_egress_only_internet_gateway(VpcId=vpc_id)["EgressOnlyInternetGateway"]
    egress_id = egress["EgressOnlyInternetGatewayId"]
    removals: list[Any] = [
        lambda: alice.delete_subnet(SubnetId=subnet_id),
        lambda: alice.delete_security_group(GroupId=group_id),
        lambda: alice.delete_route_table(RouteTableId=table_id),
        lambda: alice.delete_network_acl(NetworkAclId=acl_id),
        lambda: alice.detach_internet_gateway(InternetGatewayId=gateway_id, VpcId=vpc_id),
        lambda: alice.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=egress_id),
    ]

    for remove in removals:
        with refused("DependencyViolation"):
            alice.delete_vpc(VpcId=vpc_id)
        remove()

    alice.delete_vpc(VpcId=vpc_id)


def test_the_segment_of_a_deleted_vpc_leaves_the_host(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2)
    subnet_id = shop.ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    (instance_id,) = shop.launch_ids(MinCount=1, MaxCount=1, SubnetId=subnet_id)
    fabric: Any = shop.running.drivers.network
    before = vpc_id in fabric.segments
    shop.ec2.terminate_instances(InstanceIds=[instance_id], SkipOsShutdown=True)
    shop.ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1})

    shop.ec2.delete_subnet(SubnetId=subnet_id)
    shop.ec2.delete_vpc(VpcId=vpc_id)

    assert before
    assert vpc_id not in fabric.segments
    assert shop.describe(instance_id)["State"]["Name"] == "terminated"


def attributes(client: "EC2Client", vpc_id: str) -> tuple[bool, bool, bool]:
    names: Any = ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics")
    answers: list[Any] = [client.describe_vpc_attribute(VpcId=vpc_id, Attribute=name) for name in names]
    support, hostnames, metrics = (
        answer[name[0].upper() + name[1:]]["Value"] for name, answer in zip(names, answers, strict=True)
    )
    return support, hostnames, metrics


def test_a_vpc_has_dns_and_the_default_one_host_names_too(alice: "EC2Client") -> None:
    (default,) = ids(alice)

    assert attributes(alice, default) == (True, True, False)
    assert attributes(alice, new_vpc(alice)) == (True, False, False)


def test_attributes_are_changed_one_at_a_time(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    on: Any = {"Value": True}

    alice.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames=on)
    alice.modify_vpc_attribute(VpcId=vpc_id, EnableNetworkAddressUsageMetrics=on)

    assert attributes(alice, vpc_id) == (True, True, True)
    with refused("InvalidParameterCombination"):
        alice.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames=on, EnableDnsSupport=on)
    with refused("MissingParameter"):
        alice.modify_vpc_attribute(VpcId=vpc_id)


def test_host_names_need_dns(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    alice.modify_vpc_attribute(VpcId=vpc_id, EnableDnsSupport={"Value": False})

    with refused("InvalidParameterValue"):
        alice.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})


def test_only_a_vpc_with_host_names_has_public_ones(shop: Shop) -> None:
    vpc_id = new_vpc(shop.ec2)
    new_gateway(shop.ec2, vpc_id)
    subnet_id = new_subnet(shop.ec2, vpc_id)
    shop.ec2.modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True})
    instance = shop.launch(SubnetId=subnet_id)
    address = instance["PublicIpAddress"]
    assert (instance["PublicDnsName"], instance["NetworkInterfaces"][0]["Association"]["PublicDnsName"]) == ("", "")
    assert shop.found(("dns-name", "*")) == []
    (interface,) = shop.ec2.describe_network_interfaces(Filters=of_vpc(vpc_id))["NetworkInterfaces"]
    assert interface["Association"]["PublicDnsName"] == ""

    shop.ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": True})

    named = shop.describe(instance["InstanceId"])
    assert named["PublicDnsName"] == named["NetworkInterfaces"][0]["Association"]["PublicDnsName"] == address
    assert shop.found(("dns-name", address)) == [instance["InstanceId"]]


def test_a_vpc_gets_another_range_and_loses_it(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    answer = alice.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.1.0.0/16")

    added = answer["CidrBlockAssociation"]
    assert added["CidrBlockState"] == {"State": "associating"}
    assert [it["CidrBlock"] for it in vpc(alice, vpc_id)["CidrBlockAssociationSet"]] == ["10.0.0.0/16", "10.1.0.0/16"]
    (table,) = alice.describe_route_tables(Filters=of_vpc(vpc_id))["RouteTables"]
    assert [it["DestinationCidrBlock"] for it in table["Routes"]] == ["10.0.0.0/16", "10.1.0.0/16"]
    subnet = alice.create_subnet(VpcId=vpc_id, CidrBlock="10.1.3.0/24")["Subnet"]
    with refused("DependencyViolation"):
        alice.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    alice.delete_subnet(SubnetId=subnet["SubnetId"])
    alice.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    assert [it["CidrBlock"] for it in vpc(alice, vpc_id)["CidrBlockAssociationSet"]] == ["10.0.0.0/16"]


def test_a_range_that_overlaps_or_is_one_too_many_is_refused(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice)

    with refused("InvalidVpc.Range"):
        alice.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.0.128.0/24")
    for number in range(1, 5):
        alice.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock=f"10.{number}.0.0/16")
    with refused("CidrLimitExceeded"):
        alice.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.9.0.0/16")
    with refused("InvalidParameterCombination"):
        alice.associate_vpc_cidr_block(VpcId=vpc_id)


def test_the_primary_range_stays(alice: "EC2Client") -> None:
    primary = vpc(alice, new_vpc(alice))["CidrBlockAssociationSet"][0]["AssociationId"]

    with refused("OperationNotPermitted"):
        alice.disassociate_vpc_cidr_block(AssociationId=primary)
    with refused("InvalidVpcCidrBlockAssociationID.NotFound"):
        alice.disassociate_vpc_cidr_block(AssociationId="vpc-cidr-assoc-0123456789abcdef0")


def test_a_vpc_is_given_an_ipv6_range_of_its_own(alice: "EC2Client") -> None:
    first, second = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True), new_vpc(alice)

    added = alice.associate_vpc_cidr_block(VpcId=second, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]

    (shown,) = vpc(alice, first)["Ipv6CidrBlockAssociationSet"]
    assert shown["Ipv6CidrBlock"].endswith("::/56")
    assert shown["Ipv6CidrBlock"] != added["Ipv6CidrBlock"]
    with refused("CidrLimitExceeded"):
        alice.associate_vpc_cidr_block(VpcId=first, AmazonProvidedIpv6CidrBlock=True)
    alice.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    assert vpc(alice, second)["Ipv6CidrBlockAssociationSet"] == []


def test_a_dual_stack_vpc_begins_with_rules_for_ipv6(alice: "EC2Client") -> None:
    vpc_id = new_vpc(alice, AmazonProvidedIpv6CidrBlock=True)

    (group,) = alice.describe_security_groups(Filters=of_vpc(vpc_id))["SecurityGroups"]
    (acl,) = alice.describe_network_acls(Filters=of_vpc(vpc_id))["NetworkAcls"]
    assert group["IpPermissionsEgress"][0]["Ipv6Ranges"] == [{"CidrIpv6": "::/0"}]
    assert sorted({it["RuleNumber"] for it in acl["Entries"]}) == [100, 101, 32767, 32768]


def test_a_deleted_default_vpc_comes_back_when_it_is_asked_for(alice: "EC2Client") -> None:
    (default,) = ids(alice)
    with refused("DefaultVpcAlreadyExists"):
        alice.create_default_vpc()
    _empty_default(alice, default)

    assert ids(alice) == []
    again = alice.create_default_vpc()["Vpc"]

    assert again["IsDefault"]
    assert len(alice.describe_subnets()["Subnets"]) == 3
    assert len(alice.describe_dhcp_options()["DhcpOptions"]) == 1


def _empty_default(client: "EC2Client", vpc_id: str) -> None:
    for subnet in client.describe_subnets()["Subnets"]:
        client.delete_subnet(SubnetId=subnet["SubnetId"])
    (gateway,) = client.describe_internet_gateways()["InternetGateways"]
    client.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc_id)
    client.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    client.delete_vpc(VpcId=vpc_id)


def test_without_a_default_vpc_a_launch_needs_a_subnet(shop: Shop) -> None:
    _empty_default(shop.ec2, ids(shop.ec2)[0])

    with refused("VPCIdNotSpecified"):
        shop.launch_ids(MinCount=1, MaxCount=1)
    with refused("DefaultVpcDoesNotExist"):
        shop.ec2.create_default_subnet(AvailabilityZone="us-east-1a")


def test_tenancy_can_only_become_what_it_is(alice: "EC2Client") -> None:
    assert alice.modify_vpc_tenancy(VpcId=new_vpc(alice), InstanceTenancy="default")["ReturnValue"]


def test_another_account_s_vpc_cannot_be_touched(alice: "EC2Client", bob: "EC2Client") -> None:
    vpc_id = new_vpc(alice)
    added = alice.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.1.0.0/16")["CidrBlockAssociation"]
    attempts: list[Any] = [
        lambda: bob.delete_vpc(VpcId=vpc_id),
        lambda: bob.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsSupport"),
        lambda: bob.modify_vpc_attribute(VpcId=vpc_id, EnableDnsSupport={"Value": False}),
        lambda: bob.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock="10.2.0.0/16"),
        lambda: bob.create_subnet(VpcId=vpc_id, CidrBlock="10.0.0.0/24"),
        lambda: bob.create_route_table(VpcId=vpc_id),
        lambda: bob.create_network_acl(VpcId=vpc_id),
        lambda: bob.create_security_group(VpcId=vpc_id, GroupName="g", Description="d"),
        lambda: bob.modify_vpc_tenancy(VpcId=vpc_id, InstanceTenancy="default"),
    ]

    for attempt in attempts:
        with refused("InvalidVpcID.NotFound"):
            attempt()
    with refused("InvalidVpcCidrBlockAssociationID.NotFound"):
        bob.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
