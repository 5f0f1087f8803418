"""What every VPC begins with, and the default VPC of an account's region.

Source: VPC User Guide, "Default VPC components", and EC2 API Reference, CreateVpc.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from bakehouse.domain.cidr import provided_ipv6_range
from bakehouse.domain.dhcp_options import PROVIDED_DNS, DhcpOptions
from bakehouse.domain.ids import new_id
from bakehouse.domain.internet_gateway import InternetGateway
from bakehouse.domain.network import CidrAssociation, Subnet, Vpc, private_domain
from bakehouse.domain.network_acl import ANYWHERE, NetworkAcl, open_entries
from bakehouse.domain.region import zones
from bakehouse.domain.route_table import Route, RouteTable, RouteTarget
from bakehouse.domain.security_group import SecurityGroup, SecurityGroupRule

NetworkRecord = Vpc | Subnet | SecurityGroup | RouteTable | NetworkAcl | InternetGateway | DhcpOptions

#: A VPC and what it begins with.
NewVpc = tuple[Vpc, tuple[NetworkRecord, ...]]

#: A /16, and a /20 subnet in each zone.
DEFAULT_VPC_CIDR: Final = "172.31.0.0/16"
DEFAULT_SUBNET_PREFIX: Final = 20


def default_network(account_id: str, region: str, options: DhcpOptions | None = None) -> NewVpc:
    """Return a region's default VPC, and its other records: a subnet for each zone, and a way outside.

    `options` is the region's default DHCP options set; one is made where there is none.
    """
    made = options or default_options(account_id, region)
    vpc, parts = new_vpc(account_id, region, DEFAULT_VPC_CIDR, options_id=made.id, is_default=True)
    subnets = (
        default_subnet(vpc, zone, f"172.31.{number * 16}.0/{DEFAULT_SUBNET_PREFIX}")
        for number, zone in enumerate(zones(region))
    )
    return vpc, (*subnets, *parts, made)


def new_vpc(
    account_id: str, region: str, cidr: str, *, options_id: str, is_default: bool = False, ipv6: bool = False
) -> NewVpc:
    """Return a VPC, and its other records: default group, main route table and default ACL.

    A default VPC has its internet gateway too, with a route there for all that is not within.
    """
    vpc = Vpc(
        id=new_id("vpc"),
        account_id=account_id,
        region=region,
        cidr=cidr,
        is_default=is_default,
        dns_hostnames=is_default,
        dhcp_options_id=options_id,
    )
    if ipv6:
        vpc = replace(vpc, ipv6_cidr=new_ipv6_cidr(vpc))
    vpc, parts = with_routing(vpc)
    return vpc, (default_group(vpc), *parts)


def with_routing(vpc: Vpc) -> NewVpc:
    """Return a VPC with a new main route table and default ACL, and the records of these."""
    gateway = InternetGateway(
        id=new_id("internet-gateway"), account_id=vpc.account_id, region=vpc.region, vpc_id=vpc.id
    )
    outside = Route(destination=ANYWHERE, target=RouteTarget.INTERNET_GATEWAY, target_id=gateway.id)
    table = RouteTable(
        id=new_id("route-table"),
        account_id=vpc.account_id,
        region=vpc.region,
        vpc_id=vpc.id,
        routes=(outside,) if vpc.is_default else (),
    )
    acl = NetworkAcl(
        id=new_id("network-acl"),
        account_id=vpc.account_id,
        region=vpc.region,
        vpc_id=vpc.id,
        is_default=True,
        entries=open_entries(ipv6=vpc.ipv6_cidr is not None),
    )
    vpc = replace(
        vpc,
        main_route_table_id=table.id,
        main_association_id=new_id("route-table-association"),
        network_acl_id=acl.id,
    )
    return vpc, ((table, acl, gateway) if vpc.is_default else (table, acl))


def completed(vpc: Vpc, subnets: Iterable[Subnet], options: DhcpOptions | None) -> tuple[NetworkRecord, ...]:
    """Return what a default VPC of a version without route tables lacks, and it and its subnets as they are then."""
    made = options or default_options(vpc.account_id, vpc.region)
    vpc, parts = with_routing(replace(vpc, dns_hostnames=vpc.is_default, dhcp_options_id=made.id))
    return vpc, *(in_default_acl(subnet, vpc) for subnet in subnets), *parts, made


def in_default_acl(subnet: Subnet, vpc: Vpc) -> Subnet:
    """Return a subnet with a new association with its VPC's default ACL."""
    association_id = new_id("network-acl-association")
    return replace(subnet, network_acl_id=vpc.network_acl_id, network_acl_association_id=association_id)


def default_subnet(vpc: Vpc, zone: str, cidr: str) -> Subnet:
    """Return the default VPC's subnet in a zone: what is launched there gets a public address."""
    subnet = Subnet(
        id=new_id("subnet"),
        account_id=vpc.account_id,
        region=vpc.region,
        vpc_id=vpc.id,
        cidr=cidr,
        availability_zone=zone,
        default_for_az=True,
        map_public_ip=True,
    )
    return in_default_acl(subnet, vpc)


def default_options(account_id: str, region: str) -> DhcpOptions:
    """Return a region's default set: the domain of its private names, and the VPC's own resolver."""
    return DhcpOptions(
        id=new_id("dhcp-options"),
        account_id=account_id,
        region=region,
        options={"domain-name": (private_domain(region),), "domain-name-servers": (PROVIDED_DNS,)},
        is_default=True,
    )


def new_ipv6_cidr(vpc: Vpc) -> CidrAssociation:
    """Return the association of a VPC with the IPv6 range that it is given."""
    return CidrAssociation(id=new_id("vpc-cidr-block-association"), cidr=provided_ipv6_range(vpc.id))


def default_group(vpc: Vpc) -> SecurityGroup:
    """Return a VPC's default group: everything from itself, everything to everywhere.

    Source: VPC User Guide, "Default security groups for your VPCs".
    """
    group_id = new_id("security-group")
    itself = SecurityGroupRule(
        id=new_id("security-group-rule"),
        is_egress=False,
        protocol="-1",
        from_port=None,
        to_port=None,
        referenced_group_id=group_id,
    )
    return SecurityGroup(
        id=group_id,
        account_id=vpc.account_id,
        region=vpc.region,
        vpc_id=vpc.id,
        name="default",
        description="default VPC security group",
        rules=(itself, *allow_all_egress(ipv6=vpc.ipv6_cidr is not None)),
    )


def allow_all_egress(*, ipv6: bool = False) -> tuple[SecurityGroupRule, ...]:
    """Return the rules that every new group begins with, one for IPv6 too where its VPC has a range of that."""
    ipv4_rule = SecurityGroupRule(
        id=new_id("security-group-rule"),
        is_egress=True,
        protocol="-1",
        from_port=None,
        to_port=None,
        cidr_ipv4=ANYWHERE,
    )
    return (
        (ipv4_rule, replace(ipv4_rule, id=new_id("security-group-rule"), cidr_ipv4=None, cidr_ipv6="::/0"))
        if ipv6
        else (ipv4_rule,)
    )
