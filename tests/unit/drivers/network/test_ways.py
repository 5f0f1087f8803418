"""Which way packets go, by route tables."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.network.linux.ways import (
    BLACKHOLE,
    INTERNET,
    LOCAL,
    Network,
    Numbers,
    flatten,
    is_open_to_host,
    ways,
)
from bakehouse.ports.network import NatGatewaySpec, RouteSpec, RouteTarget, SegmentSpec, SubnetSpec

EVERYBODY = "0.0.0.0/0"
FORWARDER = "eni-forwarder"


def route(destination: str, target: RouteTarget, target_id: str = "") -> RouteSpec:
    return RouteSpec(destination=destination, target=target, target_id=target_id)


PUBLIC = SubnetSpec(subnet_id="subnet-public", cidr="10.0.0.0/24", routes=(route(EVERYBODY, "internet"),))
PRIVATE = SubnetSpec(subnet_id="subnet-private", cidr="10.0.1.0/24", ipv6_cidr="2600:1f18:0:1::/64", routes=())
SEGMENT = SegmentSpec(
    vpc_id="vpc-0",
    cidr="10.0.0.0/16",
    subnets=(PUBLIC, PRIVATE),
    domain="ec2.internal",
    ipv6_cidr="2600:1f18::/56",
    nat_gateways=(
        NatGatewaySpec(
            nat_gateway_id="nat-1", subnet_id="subnet-public", private_ip="10.0.0.9", public_ip="127.16.0.9"
        ),
        NatGatewaySpec(nat_gateway_id="nat-private", subnet_id="subnet-public", private_ip="10.0.0.8"),
        NatGatewaySpec(
            nat_gateway_id="nat-lost", subnet_id="subnet-private", private_ip="10.0.1.8", public_ip="127.16.0.8"
        ),
    ),
)
NUMBERS = Numbers()
BY_NAT = NUMBERS.nat_mark("nat-1")
BY_INTERFACE = NUMBERS.interface_mark(FORWARDER)


def mark(address: str, *routes: RouteSpec, segment: SegmentSpec = SEGMENT) -> int:
    """Return the mark of what the private subnet sends to an address."""
    subnet = replace(PRIVATE, routes=routes)
    version = ip_address(address).version
    described = replace(segment, subnets=(*segment.subnets[:1], subnet))
    found = ways(described, subnet, NUMBERS, forwarding=frozenset({FORWARDER}), version=version)
    return next(way.mark for way in found if way.first <= int(ip_address(address)) <= way.last)


@pytest.mark.parametrize(
    ("address", "routes", "expected"),
    [
        ("8.8.8.8", (), BLACKHOLE),
        ("10.0.1.5", (), LOCAL),
        ("10.0.0.5", (), LOCAL),
        ("169.254.169.254", (route(EVERYBODY, "internet"),), LOCAL),
        ("255.255.255.255", (route(EVERYBODY, "internet"),), LOCAL),
        ("8.8.8.8", (route(EVERYBODY, "internet"),), INTERNET),
        ("8.8.8.8", (route(EVERYBODY, "internet"), route("8.8.0.0/16", "blackhole")), BLACKHOLE),
        ("8.9.8.8", (route(EVERYBODY, "internet"), route("8.8.0.0/16", "blackhole")), INTERNET),
        ("8.8.8.8", (route(EVERYBODY, "egress_only"),), BLACKHOLE),
        ("8.8.8.8", (route(EVERYBODY, "nat", "nat-1"),), BY_NAT),
        ("8.8.8.8", (route(EVERYBODY, "nat", "nat-private"),), BLACKHOLE),
        ("8.8.8.8", (route(EVERYBODY, "nat", "nat-lost"),), BLACKHOLE),
        ("8.8.8.8", (route(EVERYBODY, "nat", "nat-none"),), BLACKHOLE),
        ("8.8.8.8", (route(EVERYBODY, "interface", FORWARDER),), BY_INTERFACE),
        ("8.8.8.8", (route(EVERYBODY, "interface", "eni-other"),), BLACKHOLE),
        ("10.0.0.5", (route("10.0.0.0/16", "interface", FORWARDER),), LOCAL),
        ("10.0.0.5", (route("10.0.0.0/24", "interface", FORWARDER),), BY_INTERFACE),
        ("10.0.1.5", (route("10.0.1.0/24", "interface", FORWARDER),), LOCAL),
        ("2600:1f18::5", (), LOCAL),
        ("2001:db8::5", (), BLACKHOLE),
        ("2001:db8::5", (route(EVERYBODY, "internet"),), BLACKHOLE),
        ("2001:db8::5", (route("::/0", "internet"),), INTERNET),
        ("2001:db8::5", (route("::/0", "egress_only"),), INTERNET),
        ("fe80::1", (route("::/0", "internet"),), LOCAL),
        ("fd00:ec2::254", (route("::/0", "internet"),), LOCAL),
    ],
)
def test_a_packet_goes_by_the_most_specific_route(address: str, routes: tuple[RouteSpec, ...], expected: int) -> None:
    assert mark(address, *routes) == expected


def test_a_nat_gateway_reaches_what_its_own_subnet_does() -> None:
    home = replace(PUBLIC, routes=(route("8.0.0.0/8", "internet"),))
    segment = replace(SEGMENT, subnets=(home, PRIVATE))
    by_nat = route(EVERYBODY, "nat", "nat-1")

    assert mark("8.8.8.8", by_nat, segment=segment) == BY_NAT
    assert mark("9.9.9.9", by_nat, segment=segment) == BLACKHOLE


def test_without_an_internet_gateway_nothing_leads_outside() -> None:
    segment = replace(SEGMENT, has_internet_gateway=False)

    assert mark("8.8.8.8", route(EVERYBODY, "internet"), segment=segment) == BLACKHOLE
    assert mark("8.8.8.8", route(EVERYBODY, "nat", "nat-1"), segment=segment) == BLACKHOLE
    assert mark("2001:db8::5", route("::/0", "egress_only"), segment=segment) == INTERNET


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((route(EVERYBODY, "internet"),), True),
        ((route("100.127.0.1/32", "internet"),), True),
        ((route("8.0.0.0/8", "internet"),), False),
        ((route(EVERYBODY, "internet"), route("100.64.0.0/10", "blackhole")), False),
        ((route(EVERYBODY, "nat", "nat-1"),), False),
        ((), False),
    ],
)
def test_a_subnet_is_open_to_the_host_by_its_way_there(
    routes: tuple[RouteSpec, ...],
    expected: bool,  # noqa: FBT001 - a case
) -> None:
    segment = replace(SEGMENT, subnets=(replace(PUBLIC, routes=routes), PRIVATE))

    assert is_open_to_host(segment, "subnet-public") is expected
    assert not is_open_to_host(replace(segment, has_internet_gateway=False), "subnet-public")


networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)
)


@given(st.dictionaries(networks, st.integers(0, 5), max_size=30), st.lists(st.integers(0, 2**32 - 1), max_size=30))
def test_ranges_say_what_networks_say(described: dict[Network, int], asked: list[int]) -> None:
    found = flatten(described, 99, 4)
    edges = [number for network in described for number in (int(network[0]), int(network[-1]))]

    assert (found[0].first, found[-1].last) == (0, 2**32 - 1)
    assert all(one.last + 1 == other.first and one.mark != other.mark for one, other in pairwise(found))
    for number in (*asked, *edges):
        has_it = [network for network in described if IPv4Address(number) in network]
        best = max(has_it, key=lambda network: network.prefixlen, default=None)
        expected = 99 if best is None else described[best]
        assert next(way.mark for way in found if way.first <= number <= way.last) == expected
