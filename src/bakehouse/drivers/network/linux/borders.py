"""The ruleset of a VPC's routes, network ACLs and public addresses, as text. Pure.

It is a table of its own, so that a changed VPC is one transaction that replaces it whole. Nothing in it knows
connections: routes and ACLs are asked about every packet, on the way back too. What passes it comes to the security
groups (`ruleset`). Source: VPC User Guide, "Compare security groups and network ACLs".

- `route` (as a packet comes from a guest) marks it with its way (`ways`), or drops it.
- `border` (as it is forwarded) asks the ACL of the subnet that it leaves and of the one that it enters, unless they
  are one; by a NAT gateway, also that of the gateway's subnet, twice.
- `host_out` and `host_in` are the same for the forwarder's connections, which begin and end in the segment.

What the segment answers itself (DHCP, the resolver, metadata) does not pass here, as network ACLs do not filter it on
EC2. Source: VPC User Guide, "Network ACL basics".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bakehouse.drivers.network.linux.layout import HOST_ADDRESS, HOST_LINK, TAP_PREFIX, UPLINK
from bakehouse.drivers.network.linux.matches import matches
from bakehouse.drivers.network.linux.ruleset import public_addresses
from bakehouse.drivers.network.linux.ways import (
    BLACKHOLE,
    INTERNET,
    V4,
    V6,
    Numbers,
    Way,
    address_text,
    is_open_to_host,
    ways,
)
from bakehouse.ports.network import AclRule, InterfaceSpec, NatGatewaySpec, SegmentSpec, SubnetSpec

TABLE: Final = "bakehouse_borders"


@dataclass(frozen=True, slots=True)
class _Subnet:
    """A subnet by its number, which is the device group of its taps."""

    number: int
    spec: SubnetSpec
    is_open_to_host: bool


def borders(segment: SegmentSpec, forwarding: frozenset[str], public: frozenset[str], numbers: Numbers) -> str:
    """Return the transaction that puts a VPC's routes, ACLs and public addresses in the place of what was there.

    Args:
        segment: The VPC.
        forwarding: What `forwarding` returns.
        public: What `with_public` returns.
        numbers: Gives marks and device groups.

    Raises:
        ValueError: A rule or route makes no sense.
    """
    subnets = [
        _Subnet(numbers.of(spec.subnet_id), spec, is_open_to_host(segment, spec.subnet_id)) for spec in segment.subnets
    ]
    lines = [f"add table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    elements = f"elements = {{ {', '.join(sorted(public))} }};" if public else ""
    lines.append(f"set public {{ type ipv4_addr; {elements} }}")
    for subnet in subnets:
        lines += _way_chain(segment, subnet, numbers, forwarding)
        lines += _acl_chains(subnet)
    numbered = {subnet.spec.subnet_id: subnet for subnet in subnets}
    nats = {
        numbers.of(gateway.nat_gateway_id): gateway
        for gateway in segment.nat_gateways
        if gateway.subnet_id in numbered and numbered[gateway.subnet_id].spec.acl is not None
    }
    for number, gateway in nats.items():
        lines += _nat_chains(number, numbered[gateway.subnet_id].number)
    lines += _base_chains(subnets, nats, numbers)
    lines.append("}")
    return "\n".join(line for line in lines if line) + "\n"


def change_public(before: frozenset[str], after: frozenset[str]) -> str:
    """Return the transaction that changes which private addresses have a public one, and nothing else."""
    changes = (("delete", before - after), ("add", after - before))
    return "".join(
        f"{verb} element inet {TABLE} public {{ {', '.join(sorted(addresses))} }}\n"
        for verb, addresses in changes
        if addresses
    )


def forwarding(interfaces: Iterable[InterfaceSpec]) -> frozenset[str]:
    """Return the interfaces to which routes may lead."""
    return frozenset(spec.interface_id for spec in interfaces if not spec.source_dest_check)


def with_public(interfaces: Iterable[InterfaceSpec]) -> frozenset[str]:
    """Return the private addresses that have a public one."""
    return frozenset(address for spec in interfaces for address in public_addresses(spec).values())


def _way_chain(segment: SegmentSpec, subnet: _Subnet, numbers: Numbers, forwarding: frozenset[str]) -> list[str]:
    by_version = {
        version: ways(segment, subnet.spec, numbers, forwarding=forwarding, version=version) for version in (V4, V6)
    }
    return [
        f"chain way_{subnet.number} {{",
        f"meta mark set ip daddr map {_map(by_version[V4], V4)}",
        f"meta mark set ip6 daddr map {_map(by_version[V6], V6)}",
        f"meta mark {BLACKHOLE} drop",
        "}",
    ]


def _map(found: Sequence[Way], version: int) -> str:
    spans = (
        f"{address_text(way.first, version)}-{address_text(way.last, version)} : {way.mark}"
        if way.first != way.last
        else f"{address_text(way.first, version)} : {way.mark}"
        for way in found
    )
    return f"{{ {', '.join(spans)} }}"


def _acl_chains(subnet: _Subnet) -> list[str]:
    if subnet.spec.acl is None:
        return []
    lines = []
    for way, is_egress in (("in", False), ("out", True)):
        rules = sorted((rule for rule in subnet.spec.acl if rule.is_egress is is_egress), key=lambda rule: rule.number)
        lines += [
            f"chain acl_{subnet.number}_{way} {{",
            *(line for rule in rules for line in _entry(rule)),
            "drop",
            "}",
        ]
    return lines


def _entry(rule: AclRule) -> list[str]:
    verdict = "return" if rule.allow else "drop"
    return [f"{match} {verdict}" for match in matches(rule, "daddr" if rule.is_egress else "saddr")]


def _nat_chains(number: int, home: int) -> list[str]:
    """Return what a packet by way of a NAT gateway passes besides: into the gateway's subnet and out of it again."""
    return [
        f"chain nat_{number} {{",
        f"jump acl_{home}_in",
        f"jump acl_{home}_out",
        "}",
    ]


def _base_chains(subnets: Sequence[_Subnet], nats: Mapping[int, NatGatewaySpec], numbers: Numbers) -> list[str]:
    with_acl = [subnet.number for subnet in subnets if subnet.spec.acl is not None]
    leave = {str(number): f"jump acl_{number}_out" for number in with_acl}
    enter = {str(number): f"jump acl_{number}_in" for number in with_acl}
    by_nat = {str(numbers.nat_mark(gateway.nat_gateway_id)): f"jump nat_{number}" for number, gateway in nats.items()}
    opened = ", ".join(str(subnet.number) for subnet in subnets if subnet.is_open_to_host)
    return [
        "chain route {",
        "type filter hook prerouting priority mangle; policy accept;",
        f'iifname != "{TAP_PREFIX}*" accept',
        _choose("iifgroup", {str(subnet.number): f"goto way_{subnet.number}" for subnet in subnets}),
        "drop",
        "}",
        "chain from_host {",
        "ip daddr != @public drop",
        f"oifgroup != {{ {opened} }} drop" if opened else "drop",
        "}",
        "chain border {",
        "type filter hook forward priority filter - 10; policy accept;",
        _choose("iifgroup . oifgroup", {f"{each.number} . {each.number}": "accept" for each in subnets}),
        f"meta mark {INTERNET} ip saddr != @public drop",
        f'oifname "{UPLINK}" ct mark set meta mark',
        f'iifname "{HOST_LINK}" jump from_host',
        _choose("iifgroup", leave),
        _choose("meta mark", by_nat),
        f'iifname "{UPLINK}" {_choose("ct mark", by_nat)}' if by_nat else "",
        _choose("oifgroup", enter),
        "}",
        "chain host_out {",
        "type filter hook output priority filter - 10; policy accept;",
        "meta nfproto ipv6 accept",  # the forwarder has IPv4 alone
        f"ip saddr != {HOST_ADDRESS} accept",
        f'oifname != "{TAP_PREFIX}*" accept',
        "jump from_host",
        _choose("oifgroup", enter),
        "}",
        "chain host_in {",
        "type filter hook input priority filter - 10; policy accept;",
        "meta nfproto ipv6 accept",
        f"ip daddr != {HOST_ADDRESS} accept",
        _choose("iifgroup", leave),
        "}",
    ]


def _choose(what: str, verdicts: Mapping[str, str]) -> str:
    """Return a rule that looks a verdict up; empty when there is nothing to choose from."""
    pairs = ", ".join(f"{key} : {verdict}" for key, verdict in verdicts.items())
    return f"{what} vmap {{ {pairs} }}" if pairs else ""
