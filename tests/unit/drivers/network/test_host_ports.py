"""Which ports a forwarder listens on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.network.linux.host_ports import MOST_PORTS, open_ports
from bakehouse.ports.network import FirewallRule, GroupSpec


def group(*ingress: FirewallRule) -> GroupSpec:
    return GroupSpec(group_id="sg-a", vpc_id="vpc-0", ingress=ingress, egress=ingress)


def allow(protocol: str, first: int | None, last: int | None, cidr: str | None = "0.0.0.0/0") -> FirewallRule:
    group_id = "sg-b" if cidr is None else None
    return FirewallRule(protocol=protocol, from_port=first, to_port=last, cidr=cidr, group_id=group_id)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (allow("tcp", 22, 22), {22}),
        (allow("tcp", 22, 22, "127.0.0.1/32"), {22}),
        (allow("tcp", 22, 22, "192.0.2.0/24"), set()),
        (allow("tcp", 22, 22, "::/0"), set()),
        (allow("tcp", 22, 22, None), set()),
        (allow("udp", 22, 22), set()),
        (allow("icmp", 8, 0), set()),
        (allow("tcp", 8000, 8063), set(range(8000, 8064))),
        (allow("tcp", 0, 3), {1, 2, 3}),
        (allow("tcp", 8000, 8100), {8000, 8001, 8080, 8081, 8086}),
    ],
)
def test_the_host_listens_where_a_rule_is_about_it(rule: FirewallRule, expected: set[int]) -> None:
    assert open_ports([group(rule)]) == expected


@pytest.mark.parametrize("rule", [allow("-1", None, None), allow("tcp", 0, 65535)])
def test_of_all_ports_the_well_known_are_chosen(rule: FirewallRule) -> None:
    assert {22, 80, 443, 3389, 8080, 5432} <= open_ports([group(rule)])


def test_a_port_named_alone_comes_before_a_range() -> None:
    chosen = open_ports([group(allow("tcp", 1, 65535)), group(allow("tcp", 12345, 12345))])

    assert {12345, 22} <= chosen


ranges = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted)


@given(st.lists(ranges, max_size=20))
def test_there_are_never_too_many_and_never_one_that_is_closed(spans: list[list[int]]) -> None:
    chosen = open_ports([group(*(allow("tcp", first, last) for first, last in spans))])

    assert len(chosen) <= MOST_PORTS
    assert all(any(first <= port <= last for first, last in spans) for port in chosen)
