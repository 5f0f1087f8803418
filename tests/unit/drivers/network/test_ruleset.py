"""Rulesets as text. What nftables makes of them is in `tests/contract/test_network_rulesets.py`."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from bakehouse.drivers.network.linux import matches, ruleset
from bakehouse.ports.network import FirewallRule, GroupSpec, InterfaceSpec

INTERFACE = InterfaceSpec(
    interface_id="eni-0123456789abcdef0",
    vpc_id="vpc-0",
    subnet_id="subnet-0",
    subnet_cidr="172.31.0.0/20",
    mac="02:00:00:00:00:0A",
    private_ip="172.31.0.10",
    public_ip="127.16.0.10",
    group_ids=("sg-a", "sg-b"),
    host_name="ip-172-31-0-10",
)


def rule(
    protocol: str, first: int | None, last: int | None, cidr: str | None = "10.0.0.0/8", group_id: str | None = None
) -> FirewallRule:
    return FirewallRule(
        protocol=protocol, from_port=first, to_port=last, cidr=None if group_id else cidr, group_id=group_id
    )


def group(*ingress: FirewallRule, egress: tuple[FirewallRule, ...] = ()) -> GroupSpec:
    return GroupSpec(group_id="sg-a", vpc_id="vpc-0", ingress=ingress, egress=egress)


def added(text: str) -> list[str]:
    """Return the rules that a ruleset adds, without where."""
    return [line.split(maxsplit=5)[5] for line in text.splitlines() if line.startswith("add rule")]


@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        (rule("tcp", 22, 22), "ip saddr 10.0.0.0/8 tcp dport 22 accept"),
        (rule("6", 22, 22), "ip saddr 10.0.0.0/8 tcp dport 22 accept"),
        (rule("udp", 1000, 2000), "ip saddr 10.0.0.0/8 udp dport 1000-2000 accept"),
        (rule("tcp", 0, 65535), "ip saddr 10.0.0.0/8 meta l4proto tcp accept"),
        (rule("tcp", None, None), "ip saddr 10.0.0.0/8 meta l4proto tcp accept"),
        (rule("tcp", 80, 80, "0.0.0.0/0"), "meta nfproto ipv4 tcp dport 80 accept"),
        (rule("tcp", 80, 80, "::/0"), "meta nfproto ipv6 tcp dport 80 accept"),
        (rule("tcp", 80, 80, "2600:1f18::/56"), "ip6 saddr 2600:1f18::/56 tcp dport 80 accept"),
        (rule("tcp", 80, 80, "127.0.0.1/32"), "ip saddr { 127.0.0.1/32, 100.127.0.1 } tcp dport 80 accept"),
        (rule("tcp", 80, 80, "100.64.0.0/10"), "ip saddr 100.64.0.0/10 tcp dport 80 accept"),
        (rule("tcp", 80, 80, "10.1.2.3/8"), "ip saddr 10.0.0.0/8 tcp dport 80 accept"),
        (rule("-1", None, None), "ip saddr 10.0.0.0/8 accept"),
        (rule("-1", None, None, "0.0.0.0/0"), "meta nfproto ipv4 accept"),
        (rule("icmp", 8, -1), "ip saddr 10.0.0.0/8 icmp type 8 accept"),
        (rule("icmp", 3, 4), "ip saddr 10.0.0.0/8 icmp type 3 icmp code 4 accept"),
        (rule("icmp", -1, -1), "ip saddr 10.0.0.0/8 meta l4proto icmp accept"),
        (rule("1", None, None), "ip saddr 10.0.0.0/8 meta l4proto icmp accept"),
        (rule("58", 128, -1, "::/0"), "meta nfproto ipv6 icmpv6 type 128 accept"),
        (rule("47", None, None), "ip saddr 10.0.0.0/8 meta l4proto 47 accept"),
    ],
)
def test_a_permission_is_one_rule(permission: FirewallRule, expected: str) -> None:
    assert added(ruleset.group(group(permission))) == [expected]


@pytest.mark.parametrize("permission", [rule("icmp", None, None, "::/0"), rule("icmpv6", None, None)])
def test_an_icmp_of_the_other_ip_matches_nothing(permission: FirewallRule) -> None:
    assert added(ruleset.group(group(permission))) == []


def test_a_permission_for_a_group_is_one_rule_for_each_ip() -> None:
    assert added(ruleset.group(group(rule("tcp", 80, 80, group_id="sg-b")))) == [
        "ip saddr @sg-b_members4 tcp dport 80 accept",
        "ip6 saddr @sg-b_members6 tcp dport 80 accept",
    ]


def test_what_a_group_lets_out_must_still_be_let_in() -> None:
    text = ruleset.group(group(egress=(rule("-1", None, None, "0.0.0.0/0"),)))

    assert added(text) == ["meta nfproto ipv4 goto to_guest"]


def test_a_way_out_is_chosen_by_the_receivers_address() -> None:
    text = ruleset.group(group(egress=(rule("tcp", 80, 80, "127.0.0.0/8"),)))

    assert added(text) == ["ip daddr 127.0.0.0/8 tcp dport 80 goto to_guest"]


@pytest.mark.parametrize(
    "permission",
    [
        rule("tcp", 80, 22),
        rule("tcp", 80, 70_000),
        rule("icmp", 300, -1),
        rule("tcp; flush ruleset", 1, 1),
        rule("256", None, None),
        rule("tcp", 22, 22, "10.0.0.0/8 accept; #"),
        rule("tcp", 22, 22, group_id="sg-b accept"),
        FirewallRule(protocol="tcp", from_port=1, to_port=1),
        FirewallRule(protocol="tcp", from_port=1, to_port=1, cidr="10.0.0.0/8", group_id="sg-b"),
    ],
)
def test_a_permission_that_makes_no_sense_is_refused(permission: FirewallRule) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ruleset.group(group(permission))


def test_replacing_a_group_is_one_transaction() -> None:
    assert ruleset.group(group(rule("tcp", 22, 22, group_id="sg-b"))) == (
        "add set inet bakehouse sg-a_members4 { type ipv4_addr; }\n"
        "add set inet bakehouse sg-a_members6 { type ipv6_addr; }\n"
        "add chain inet bakehouse sg-a_in\n"
        "add chain inet bakehouse sg-a_out\n"
        "add set inet bakehouse sg-b_members4 { type ipv4_addr; }\n"
        "add set inet bakehouse sg-b_members6 { type ipv6_addr; }\n"
        "flush chain inet bakehouse sg-a_in\n"
        "add rule inet bakehouse sg-a_in ip saddr @sg-b_members4 tcp dport 22 accept\n"
        "add rule inet bakehouse sg-a_in ip6 saddr @sg-b_members6 tcp dport 22 accept\n"
        "flush chain inet bakehouse sg-a_out\n"
    )


def test_an_interface_passes_its_groups_or_is_dropped() -> None:
    assert added(ruleset.plug(INTERFACE)) == [
        "jump sg-a_in",
        "jump sg-b_in",
        "drop",
        "jump sg-a_out",
        "jump sg-b_out",
        "drop",
    ]


def test_an_interface_may_send_from_its_own_addresses_only() -> None:
    tap = "tap56789abcdef0"
    assert (
        f'add element inet bakehouse sources {{ "{tap}" . 02:00:00:00:00:0a . 172.31.0.10, '
        f'"{tap}" . 02:00:00:00:00:0a . 0.0.0.0 }}'
    ) in ruleset.plug(INTERFACE).splitlines()


def test_an_interface_leaves_groups() -> None:
    text = ruleset.plug(INTERFACE, replace(INTERFACE, group_ids=("sg-old",)))

    assert "delete element inet bakehouse sg-old_members4 { 172.31.0.10 }" in text.splitlines()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("0.0.0.0/0", True),
        ("127.0.0.0/8", True),
        ("127.0.0.1/32", True),
        ("100.127.0.1/32", True),
        ("10.0.0.0/8", False),
        ("127.0.0.2/32", False),
    ],
)
def test_the_host_is_named_by_its_loopback_address(network: str, expected: bool) -> None:  # noqa: FBT001 - a case
    assert matches.names_host(IPv4Network(network)) is expected
