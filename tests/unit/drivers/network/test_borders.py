"""Routes and network ACLs as a ruleset. What passes by it: `tests/contract/test_network_acls.py`, `..._routes.py`."""

from dataclasses import replace

import pytest

from bakehouse.drivers.network.linux import borders
from bakehouse.drivers.network.linux.ways import Numbers
from bakehouse.ports.network import (
    AclRule,
    AddressSpec,
    InterfaceSpec,
    NatGatewaySpec,
    RouteSpec,
    SegmentSpec,
    SubnetSpec,
)

EVERYBODY = "0.0.0.0/0"
PUBLIC = SubnetSpec(
    subnet_id="subnet-public", cidr="10.0.0.0/24", routes=(RouteSpec(destination=EVERYBODY, target="internet"),)
)
PRIVATE = SubnetSpec(
    subnet_id="subnet-private",
    cidr="10.0.1.0/24",
    routes=(RouteSpec(destination=EVERYBODY, target="nat", target_id="nat-1"),),
)
GATEWAY = NatGatewaySpec(
    nat_gateway_id="nat-1", subnet_id="subnet-public", private_ip="10.0.0.9", public_ip="127.16.0.9"
)
SEGMENT = SegmentSpec(
    vpc_id="vpc-0", cidr="10.0.0.0/16", subnets=(PUBLIC, PRIVATE), domain="ec2.internal", nat_gateways=(GATEWAY,)
)
INTERFACE = InterfaceSpec(
    interface_id="eni-0",
    vpc_id="vpc-0",
    subnet_id="subnet-public",
    subnet_cidr="10.0.0.0/24",
    mac="02:00:00:00:00:0a",
    private_ip="10.0.0.10",
    public_ip="127.16.0.10",
    group_ids=(),
    host_name="ip-10-0-0-10",
    secondary_ips=(AddressSpec(private_ip="10.0.0.11", public_ip="127.16.0.11"), AddressSpec(private_ip="10.0.0.12")),
)


def rule(number: int, verdict: str, protocol: str, cidr: str = EVERYBODY, port: int | None = None) -> AclRule:
    return AclRule(
        number=number,
        is_egress=False,
        allow=verdict == "allow",
        protocol=protocol,
        cidr=cidr,
        from_port=port,
        to_port=port,
    )


def chain(text: str, name: str) -> list[str]:
    """Return a chain's rules."""
    lines = [line.strip() for line in text.splitlines()]
    begin = lines.index(f"chain {name} {{")
    return lines[begin + 1 : lines.index("}", begin)]


def drawn(*subnets: SubnetSpec, has_internet_gateway: bool = True) -> str:
    by_id = {subnet.subnet_id: subnet for subnet in (*SEGMENT.subnets, *subnets)}
    segment = replace(SEGMENT, subnets=tuple(by_id.values()), has_internet_gateway=has_internet_gateway)
    return borders.borders(segment, frozenset(), frozenset(), Numbers())


def test_entries_are_asked_in_the_order_of_their_numbers_and_then_all_is_denied() -> None:
    acl = (
        rule(200, "allow", "-1"),
        rule(90, "deny", "6", "10.0.1.0/24", 5432),
        rule(100, "allow", "tcp", "10.0.0.0/16", 5432),
    )

    assert chain(drawn(replace(PUBLIC, acl=acl)), "acl_1_in") == [
        "ip saddr 10.0.1.0/24 tcp dport 5432 drop",
        "ip saddr 10.0.0.0/16 tcp dport 5432 return",
        "meta nfproto ipv4 return",
        "drop",
    ]


def test_an_acl_without_entries_denies_all() -> None:
    text = drawn(replace(PUBLIC, acl=()))

    assert [chain(text, f"acl_1_{way}") for way in ("in", "out")] == [["drop"], ["drop"]]


def test_an_acl_that_allows_everything_costs_nothing() -> None:
    assert "acl_" not in drawn()


def test_the_host_is_meant_by_its_loopback_address_both_ways() -> None:
    entry = rule(1, "deny", "-1", "127.0.0.1/32")
    text = drawn(replace(PUBLIC, acl=(entry, replace(entry, is_egress=True))))

    assert chain(text, "acl_1_in")[0] == "ip saddr { 127.0.0.1/32, 100.127.0.1 } drop"
    assert chain(text, "acl_1_out")[0] == "ip daddr { 127.0.0.1/32, 100.127.0.1 } drop"


def test_within_a_subnet_nothing_is_asked() -> None:
    text = drawn(replace(PUBLIC, acl=()), replace(PRIVATE, acl=()))

    assert chain(text, "border")[1] == "iifgroup . oifgroup vmap { 1 . 1 : accept, 2 . 2 : accept }"


def test_what_leaves_by_a_nat_gateway_is_asked_on_both_ways() -> None:
    lines = chain(drawn(replace(PUBLIC, acl=())), "border")

    assert len([line for line in lines if line.startswith("meta mark vmap")]) == 1
    assert len([line for line in lines if line.startswith('iifname "ext0" ct mark vmap')]) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (drawn(), "oifgroup != { 1 } drop"),
        (drawn(has_internet_gateway=False), "drop"),
        (drawn(replace(PUBLIC, routes=())), "drop"),
    ],
)
def test_the_host_is_let_into_subnets_with_a_way_to_the_internet(text: str, expected: str) -> None:
    assert chain(text, "from_host") == ["ip daddr != @public drop", expected]


def test_addresses_with_a_public_one_may_leave() -> None:
    addresses = borders.with_public([INTERFACE])

    assert addresses == {"10.0.0.10", "10.0.0.11"}
    assert "set public { type ipv4_addr; elements = { 10.0.0.10, 10.0.0.11 }; }" in borders.borders(
        SEGMENT, frozenset(), addresses, Numbers()
    )


def test_a_changed_public_address_is_a_small_transaction() -> None:
    before, after = frozenset({"10.0.0.10", "10.0.0.11"}), frozenset({"10.0.0.11", "10.0.0.12"})

    assert borders.change_public(before, after) == (
        "delete element inet bakehouse_borders public { 10.0.0.10 }\n"
        "add element inet bakehouse_borders public { 10.0.0.12 }\n"
    )
    assert borders.change_public(before, before) == ""


def test_only_interfaces_that_may_forward_are_routed_to() -> None:
    forwarder = replace(INTERFACE, interface_id="eni-1", source_dest_check=False)

    assert borders.forwarding([INTERFACE, forwarder]) == {"eni-1"}


@pytest.mark.parametrize(
    "entry",
    [rule(1, "allow", "tcp", EVERYBODY, 70_000), rule(1, "allow", "256"), rule(1, "allow", "tcp", "10.0.0.0/8 return")],
)
def test_an_entry_that_makes_no_sense_is_refused(entry: AclRule) -> None:
    with pytest.raises(ValueError, match=r".+"):
        drawn(replace(PUBLIC, acl=(entry,)))
