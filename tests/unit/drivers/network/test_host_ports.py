"""Which ports a forwarder listens on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.network.linux.host_ports import MOST_PORTS, OpenPort, Protocol, open_ports
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
        (allow("icmp", 8, 0), set()),
        (allow("tcp", 30000, 32767), set(range(30000, 32768))),
        (allow("tcp", 0, 3), {1, 2, 3}),
        (
            allow("tcp", 8000, 13000),
            {8000, 8001, 8080, 8081, 8086, 8123, 8125, 8200, 8300, 8443, 8500, 8888}
            | {9000, 9042, 9090, 9092, 9100, 9200, 9300, 10250, 11211},
        ),
    ],
)
def test_the_host_listens_where_a_rule_is_about_it(rule: FirewallRule, expected: set[int]) -> None:
    assert open_ports([group(rule)]) == {OpenPort("tcp", number) for number in expected}


def test_each_protocol_has_its_ports() -> None:
    assert open_ports([group(allow("udp", 53, 53), allow("17", 123, 123), allow("6", 80, 80))]) == {
        OpenPort("udp", 53),
        OpenPort("udp", 123),
        OpenPort("tcp", 80),
    }


@pytest.mark.parametrize("rule", [allow("-1", None, None), allow("tcp", 0, 65535)])
def test_of_all_ports_the_well_known_are_chosen(rule: FirewallRule) -> None:
    assert {OpenPort("tcp", number) for number in (22, 80, 443, 3389, 8080, 5432)} <= open_ports([group(rule)])


def test_a_port_named_alone_comes_before_a_range() -> None:
    chosen = open_ports([group(allow("tcp", 1, 65535)), group(allow("tcp", 12345, 12345))])

    assert {OpenPort("tcp", 12345), OpenPort("tcp", 22)} <= chosen


ranges = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted)


@given(st.sampled_from(["tcp", "udp"]), st.lists(ranges, max_size=20))
def test_there_are_never_too_many_and_never_one_that_is_closed(name: Protocol, spans: list[list[int]]) -> None:
    opened = open_ports([group(*(allow(name, first, last) for first, last in spans))])
    chosen = {port.number for port in opened if port.protocol == name}

    assert len(chosen) == len(opened)
    assert len(chosen) <= MOST_PORTS
    assert all(any(first <= port <= last for first, last in spans) for port in chosen)
