"""Every ruleset that we write is one that nftables reads. Needs a namespace: it asks the kernel as it reads."""

import os
import subprocess
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.network_world import INTERFACE, WEB

from bakehouse.drivers.network.linux import programs, ruleset
from bakehouse.drivers.network.linux.borders import borders as draw
from bakehouse.drivers.network.linux.borders import change_public, forwarding, with_public
from bakehouse.drivers.network.linux.ways import Numbers
from bakehouse.ports.network import (
    AclRule,
    AddressSpec,
    FirewallRule,
    GroupSpec,
    InterfaceSpec,
    NatGatewaySpec,
    RouteSpec,
    SegmentSpec,
    SubnetSpec,
)

pytestmark = pytest.mark.vm

BASE = ruleset.base("172.31.0.2")
PLUGGED = BASE + ruleset.group(WEB) + ruleset.plug(INTERFACE)
RICH = replace(
    INTERFACE,
    public_ip=None,
    secondary_ips=(
        AddressSpec(private_ip="172.31.0.20", public_ip="127.16.0.20"),
        AddressSpec(private_ip="172.31.0.21"),
    ),
    ipv6_addresses=("2600:1f18::10",),
    source_dest_check=False,
)
ALL = AclRule(number=100, is_egress=False, allow=True, protocol="-1", cidr="0.0.0.0/0")
VPC = SegmentSpec(
    vpc_id="vpc-0",
    cidr="172.31.0.0/16",
    subnets=(
        SubnetSpec(subnet_id=INTERFACE.subnet_id, cidr="172.31.0.0/20", acl=(ALL, replace(ALL, is_egress=True))),
        SubnetSpec(
            subnet_id="subnet-1",
            cidr="172.31.16.0/20",
            ipv6_cidr="2600:1f18:0:1::/64",
            routes=(
                RouteSpec(destination="0.0.0.0/0", target="nat", target_id="nat-0"),
                RouteSpec(destination="8.8.8.8/32", target="interface", target_id=INTERFACE.interface_id),
                RouteSpec(destination="::/0", target="egress_only"),
            ),
            acl=(),
        ),
    ),
    domain="ec2.internal",
    ipv6_cidr="2600:1f18::/56",
    nat_gateways=(
        NatGatewaySpec(
            nat_gateway_id="nat-0", subnet_id=INTERFACE.subnet_id, private_ip="172.31.0.9", public_ip="127.16.0.9"
        ),
    ),
)


def borders(segment: SegmentSpec, *interfaces: InterfaceSpec) -> str:
    return draw(segment, forwarding(interfaces), with_public(interfaces), Numbers())


HOST = ruleset.host("bakehouse_0123456789ab", "bh0123456789ab")

address_numbers = st.integers(0, 2**32 - 1)
networks = st.builds(
    lambda address, length: {"cidr": str(IPv4Network((address, length), strict=False))},
    address_numbers,
    st.integers(0, 32),
)
groups_named = st.from_regex(r"sg-[0-9a-f]{17}", fullmatch=True).map(lambda name: {"group_id": name})
peers = networks | groups_named | st.just({"cidr": "2001:db8::/32"})
numbers = st.none() | st.integers(-1, 255)


def permission(protocol: str, ports: tuple[int | None, int | None], peer: dict[str, str]) -> FirewallRule:
    given_peer: dict[str, Any] = {"cidr": None, "group_id": None, **peer}
    return FirewallRule(protocol=protocol, from_port=ports[0], to_port=ports[1], **given_peer)


port_rules = st.builds(
    permission,
    st.sampled_from(["tcp", "udp", "6", "17"]),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda span: (min(span), max(span))),
    peers,
)
other_rules = st.builds(
    permission,
    st.sampled_from(["icmp", "icmpv6", "-1"]) | st.integers(0, 255).filter(lambda n: n not in (6, 17)).map(str),
    st.tuples(numbers, numbers),
    peers,
)
rules = st.lists(port_rules | other_rules, max_size=30).map(tuple)


def nft(text: str, *options: str) -> str:
    """Run nft in a namespace of its own; return its complaint, empty when it has none."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    program = programs.find("nft") or "nft"
    done = subprocess.run(
        [*unshare, program, *options, "-f", "-"], input=text, capture_output=True, text=True, check=False
    )
    return done.stderr


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BASE, id="a segment"),
        pytest.param(BASE + BASE, id="a segment again"),
        pytest.param(PLUGGED, id="an interface"),
        pytest.param(PLUGGED + ruleset.plug(INTERFACE, INTERFACE), id="an interface again"),
        pytest.param(PLUGGED + ruleset.unplug(INTERFACE), id="an interface gone"),
        pytest.param(
            PLUGGED + ruleset.unplug(INTERFACE) + ruleset.delete_group(WEB.group_id, referenced=False),
            id="a group gone",
        ),
        pytest.param(BASE + ruleset.delete_group(WEB.group_id, referenced=True), id="a group named elsewhere"),
        pytest.param(PLUGGED + ruleset.plug(RICH, INTERFACE), id="an interface changed"),
        pytest.param(PLUGGED + ruleset.plug(RICH, INTERFACE) + ruleset.unplug(RICH), id="a changed interface gone"),
        pytest.param(BASE + borders(replace(VPC, subnets=())), id="no subnets"),
        pytest.param(
            borders(VPC, INTERFACE) + change_public(frozenset({"172.31.0.10"}), frozenset({"172.31.0.20"})),
            id="another address with a public one",
        ),
        pytest.param(BASE + borders(VPC) + borders(VPC, INTERFACE, RICH), id="borders and others"),
        pytest.param(
            HOST
            + ruleset.publish("bakehouse_0123456789ab", "127.16.0.10")
            + ruleset.withdraw("bakehouse_0123456789ab", "127.16.0.10"),
            id="a public address on the host",
        ),
        pytest.param(ruleset.delete_host("bakehouse_0123456789ab"), id="the host's table gone"),
    ],
)
def test_nftables_applies(text: str) -> None:
    assert nft(text) == ""


@given(ingress=rules, egress=rules)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_nftables_reads_any_group(ingress: tuple[FirewallRule, ...], egress: tuple[FirewallRule, ...]) -> None:
    spec = GroupSpec(group_id="sg-0", vpc_id="vpc-0", ingress=ingress, egress=egress)

    assert nft(BASE + ruleset.group(spec) + ruleset.group(spec)) == ""


@given(rules)
@settings(max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_nftables_reads_any_acl(described: tuple[FirewallRule, ...]) -> None:
    acl = tuple(
        AclRule(
            number=number,
            is_egress=number % 2 == 0,
            allow=number % 3 == 0,
            protocol=rule.protocol,
            cidr=rule.cidr,
            from_port=rule.from_port,
            to_port=rule.to_port,
        )
        for number, rule in enumerate(described, 1)
        if rule.cidr is not None
    )

    assert nft(BASE + borders(replace(VPC, subnets=(replace(VPC.subnets[0], acl=acl),)))) == ""
