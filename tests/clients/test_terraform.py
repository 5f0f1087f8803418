"""Terraform's network by its AWS provider's calls: applied, planned again, changed, destroyed; nothing is left."""

from typing import Any, Final

from tests.clients.terraform.addresses import AwsEip
from tests.clients.terraform.data_sources import account_of, aws_availability_zones, aws_caller_identity
from tests.clients.terraform.network import AwsInternetGateway, AwsSubnet, AwsVpc
from tests.clients.terraform.route_tables import AwsRouteTable
from tests.clients.terraform.security_groups import AwsSecurityGroup, AwsSecurityGroupRule, AwsVpcSecurityGroupRule
from tests.clients.terraform.stack import TAGS, Network, Stack
from tests.clients.terraform.waiters import wait_for
from tests.system.shop import Shop


def test_the_provider_starts(shop: Shop) -> None:
    sts, iam = (shop.running.client(name, shop.name) for name in ("sts", "iam"))

    assert account_of(sts, iam) == shop.account_id
    assert aws_caller_identity(sts) == {
        "account_id": shop.account_id,
        "arn": f"arn:aws:iam::{shop.account_id}:root",
        "user_id": shop.account_id,
    }


def test_zones_as_data(shop: Shop) -> None:
    available = aws_availability_zones(shop.ec2, state="available")

    assert available["names"][:2] == ["us-east-1a", "us-east-1b"]
    assert len(available["zone_ids"]) == len(available["names"])
    assert aws_availability_zones(shop.ec2, every=True)["names"] == available["names"]
    assert aws_availability_zones(shop.ec2, opt_in_status="opt-in-not-required") == available
    assert aws_availability_zones(shop.ec2, zone_name="us-east-1b")["names"] == ["us-east-1b"]


def test_a_network(stack: Stack) -> None:
    network = Network(stack)
    other_vpc = stack.apply(AwsVpc, cidr_block="10.2.0.0/16")
    other_table = stack.apply(AwsRouteTable, vpc_id=network.vpc.id, route=[])
    alone = stack.apply(AwsInternetGateway)

    stack.change(
        network.vpc,
        {"enable_dns_hostnames": False, "tags": {"Name": "other"}},
        {"enable_dns_support": False},
        {"enable_dns_support": True, "enable_network_address_usage_metrics": True},
    )
    stack.change(
        network.subnet,
        {"map_public_ip_on_launch": False},
        {"enable_resource_name_dns_a_record_on_launch": True},
        {"private_dns_hostname_type_on_launch": "resource-name", "tags": {}},
    )
    stack.change(alone, {"vpc_id": other_vpc.id}, {"vpc_id": ""}, {"tags": TAGS})
    stack.change(network.association, {"route_table_id": other_table.id})

    stack.end()


def test_a_network_with_ipv6(stack: Stack) -> None:
    vpc = stack.apply(AwsVpc, cidr_block="10.1.0.0/16", assign_generated_ipv6_cidr_block=True)
    prefix = vpc.state["ipv6_cidr_block"].removesuffix("::/56")
    subnet = stack.apply(
        AwsSubnet,
        assign_ipv6_address_on_creation=True,
        cidr_block="10.1.1.0/24",
        ipv6_cidr_block=f"{prefix}::/64",
        vpc_id=vpc.id,
    )
    gateway = stack.apply(AwsInternetGateway, vpc_id=vpc.id)
    table = stack.apply(AwsRouteTable, vpc_id=vpc.id, route=[{"ipv6_cidr_block": "::/0", "gateway_id": gateway.id}])

    stack.change(
        subnet,
        {"enable_resource_name_dns_aaaa_record_on_launch": True},
        {"enable_resource_name_dns_aaaa_record_on_launch": False, "assign_ipv6_address_on_creation": False},
        {"ipv6_cidr_block": None},
    )
    stack.change(vpc, {"assign_generated_ipv6_cidr_block": False}, {"assign_generated_ipv6_cidr_block": True})
    stack.change(table, {"route": []})

    stack.end()


def test_routes(shop: Shop, stack: Stack) -> None:
    network = Network(stack)
    instance = network.instance(stack, shop.image_id, source_dest_check=False)
    address = stack.apply(AwsEip, domain="vpc")
    ec2: Any = shop.ec2
    nat_id = ec2.create_nat_gateway(SubnetId=network.subnet.id, AllocationId=address.id)["NatGateway"]["NatGatewayId"]
    _wait_for_nat(ec2, nat_id, "available", "pending")
    through_nat = {"cidr_block": "192.0.2.0/24", "nat_gateway_id": nat_id}
    interface_id = instance.state["primary_network_interface_id"]

    table = stack.apply(AwsRouteTable, vpc_id=network.vpc.id, route=[through_nat])
    stack.change(
        table,
        {"route": [through_nat, {"cidr_block": "0.0.0.0/0", "gateway_id": network.gateway.id}]},
        {"route": [{"cidr_block": "192.0.2.0/24", "network_interface_id": interface_id}]},
        {"route": [], "tags": TAGS},
    )
    ec2.delete_nat_gateway(NatGatewayId=nat_id)
    _wait_for_nat(ec2, nat_id, "deleted", "available", "deleting")
    address.refresh()

    stack.end()


def _wait_for_nat(ec2: Any, nat_id: str, target: str, *pending: str) -> None:
    wait_for(
        lambda: str(ec2.describe_nat_gateways(NatGatewayIds=[nat_id])["NatGateways"][0]["State"]), target, *pending
    )


SSH: Final = {"protocol": "tcp", "from_port": 22, "to_port": 22}
ALL: Final = {"protocol": "-1", "from_port": 0, "to_port": 0}


def test_a_group_with_rules_in_it(shop: Shop, stack: Stack) -> None:
    ec2: Any = shop.ec2
    vpc = stack.apply(AwsVpc, cidr_block="10.1.0.0/16")
    entries = [{"Cidr": "198.51.100.0/24"}]
    prefix_list = ec2.create_managed_prefix_list(
        PrefixListName="peers", Entries=entries, MaxEntries=5, AddressFamily="IPv4"
    )["PrefixList"]["PrefixListId"]
    other = stack.apply(AwsSecurityGroup, name="other", vpc_id=vpc.id, ingress=[], egress=[])
    web = {**SSH, "cidr_blocks": ["0.0.0.0/0", "10.0.0.0/8"], "ipv6_cidr_blocks": ["::/0"], "description": "SSH & more"}
    ping = {"protocol": "icmp", "from_port": -1, "to_port": -1, "cidr_blocks": ["10.0.0.0/8"]}
    peers = {"protocol": "udp", "from_port": 0, "to_port": 65535, "security_groups": [other.id], "self": True}
    out = {**ALL, "cidr_blocks": ["0.0.0.0/0"], "ipv6_cidr_blocks": ["::/0"]}

    group = stack.apply(AwsSecurityGroup, name="web", vpc_id=vpc.id, ingress=[web, peers], egress=[out], tags=TAGS)
    stack.change(
        group,
        {"ingress": [web, peers, ping]},
        {"ingress": [{**web, "cidr_blocks": ["10.0.0.0/8"]}, ping]},
        {"ingress": [{**SSH, "cidr_blocks": ["10.0.0.0/8"], "description": "other"}]},
        {"egress": [{**SSH, "prefix_list_ids": [prefix_list]}], "tags": {}},
        {"egress": [], "ingress": [{**ALL, "self": True}]},
    )

    stack.end()
    ec2.delete_managed_prefix_list(PrefixListId=prefix_list)


def test_groups_that_name_each_other(stack: Stack) -> None:
    vpc = stack.apply(AwsVpc, cidr_block="10.1.0.0/16")
    one, other = (
        stack.apply(AwsSecurityGroup, name=name, vpc_id=vpc.id, revoke_rules_on_delete=True) for name in ("a", "b")
    )
    stack.change(one, {"ingress": [{**SSH, "security_groups": [other.id]}]})
    stack.change(other, {"egress": [{**SSH, "security_groups": [one.id]}]})

    stack.end()


def test_rules_beside_a_group(stack: Stack) -> None:
    network = Network(stack)
    ours = {"security_group_id": network.group.id}
    stack.apply(AwsVpcSecurityGroupRule, cidr_ipv4="0.0.0.0/0", ip_protocol="-1", egress=True, **ours)
    peers = {"referenced_security_group_id": network.group.id, "from_port": 8000, "to_port": 9000, "tags": TAGS}
    peer = stack.apply(AwsVpcSecurityGroupRule, **peers, ip_protocol="tcp", egress=False, **ours)
    ipv6 = {"cidr_ipv6": "2001:db8::/32", "ip_protocol": "icmpv6", "from_port": -1, "to_port": -1}
    stack.apply(AwsVpcSecurityGroupRule, **{**ipv6, "from_port": None, "to_port": None}, egress=False, **ours)
    sources = {"cidr_blocks": ["192.0.2.0/24", "198.51.100.0/24"], "ipv6_cidr_blocks": ["2001:db8::/48"]}
    older = stack.apply(AwsSecurityGroupRule, type="ingress", **SSH, **sources, description="older", **ours)
    stack.apply(AwsSecurityGroupRule, type="egress", **SSH, self=True, description="", **ours)

    stack.change(
        network.rule,
        {"from_port": 2222, "to_port": 2223, "cidr_ipv4": "10.0.0.0/8", "description": "other"},
        {"description": None, "tags": {}},
        {"ip_protocol": "udp"},
    )
    stack.change(peer, {"description": "peers", "tags": {"Name": "other"}})
    stack.change(older, {"description": "newer"})

    stack.end()
