"""Rulesets of nftables as text. Pure functions: they read nothing and change nothing.

The shape of a segment's table, the same with root and without:

- `antispoof` (before everything) lets a packet of a tap pass only with that tap's MAC and address.
- `forward` drops unless a connection is known, or the sender's groups (`egress`) and then the receiver's groups
  (`ingress`) accept it. Both are maps from tap to that interface's chain, so the cost does not grow with taps.
- `output` puts what this namespace itself begins through `ingress`: the forwarder's connections start here.
- `input` lets guests reach DHCP, DNS, the metadata service, and ping; nothing else.
- A group has a chain per direction, which interfaces jump to, and a set of its members' addresses, which other
  groups' rules name. So one group, or one interface, changes in one small transaction.
"""

from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Final

from bakehouse.drivers.network.linux.layout import (
    HOST_ADDRESS,
    HOST_LINK,
    LINK_LOCAL_RESOLVER,
    METADATA_ADDRESS,
    METADATA_PORT,
    RESERVED,
    TAP_PREFIX,
    UPLINK,
    checked_id,
    middle_address,
    tap_name,
)
from bakehouse.ports.network import FirewallRule, GroupSpec, InterfaceSpec

TABLE: Final = "bakehouse"

_LOOPBACK: Final = IPv4Address("127.0.0.1")
_ANY_PORT: Final = (0, 65535)
_PROTOCOL_LAST: Final = 255
_PROTOCOLS: Final = {"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp", "icmp": "icmp", "1": "icmp"}
_NO_MEMBERS: Final = frozenset[str]()


def base(vpc_resolver: str) -> str:
    """Return the ruleset of a segment without groups and interfaces. It replaces whatever was there."""
    return f"""\
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  set sources {{ type ifname . ether_addr . ipv4_addr; }}
  map egress {{ type ifname : verdict; }}
  map ingress {{ type ifname : verdict; elements = {{ "{UPLINK}" : accept }}; }}
  map private {{ type ipv4_addr : ipv4_addr; }}
  chain antispoof {{
    type filter hook prerouting priority raw; policy drop;
    iifname != "{TAP_PREFIX}*" accept
    iifname . ether saddr . ip saddr @sources accept
  }}
  chain arrive {{
    type nat hook prerouting priority dstnat;
    iifname "{HOST_LINK}" dnat ip to ip daddr map @private
  }}
  chain leave {{
    type nat hook postrouting priority srcnat;
    oifname "{UPLINK}" masquerade
  }}
  chain to_guest {{
    oifname vmap @ingress
    drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state vmap {{ established : accept, related : accept, invalid : drop }}
    iifname "{HOST_LINK}" goto to_guest
    ip daddr {RESERVED} drop
    iifname vmap @egress
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    ct state established,related accept
    oifname "{TAP_PREFIX}*" udp sport 67 accept
    oifname vmap @ingress
  }}
  chain from_guest {{
    udp sport 68 udp dport 67 accept
    ip daddr {{ {vpc_resolver}, {LINK_LOCAL_RESOLVER} }} meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {METADATA_ADDRESS} tcp dport {METADATA_PORT} accept
    ip daddr != {RESERVED} icmp type echo-request accept
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state vmap {{ established : accept, related : accept, invalid : drop }}
    iifname "lo" accept
    iifname "{TAP_PREFIX}*" goto from_guest
  }}
}}
"""


def host(table: str, link: str) -> str:
    """Return the host's own table for a segment (root only): public addresses lead over the link."""
    return f"""\
add table ip {table}
delete table ip {table}
table ip {table} {{
  map public {{ type ipv4_addr : ipv4_addr; }}
  chain output {{
    type nat hook output priority -100;
    dnat to ip daddr map @public
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    oifname "{link}" snat to {HOST_ADDRESS}
  }}
}}
"""


def delete_host(table: str) -> str:
    """Return the removal of the host's table, whether it is there or not."""
    return f"add table ip {table}\ndelete table ip {table}\n"


def publish(table: str, public_ip: str) -> str:
    """Return the host's translation of a public address."""
    return f"add element ip {table} public {{ {IPv4Address(public_ip)} : {middle_address(public_ip)} }}\n"


def withdraw(table: str, public_ip: str) -> str:
    """Return the end of a public address on the host."""
    return f"delete element ip {table} public {{ {IPv4Address(public_ip)} }}\n"


def group(spec: GroupSpec) -> str:
    """Return one transaction that makes a group, or replaces its rules.

    Raises:
        ValueError: A rule makes no sense: a port that is no port, a range that is no range.
    """
    lines = _group_objects(spec.group_id)
    lines += [f"add set inet {TABLE} {_members(peer)} {{ type ipv4_addr; }}" for peer in _peers(spec)]
    for chain, direction, rules, verdict in (
        (f"{spec.group_id}_in", "saddr", spec.ingress, "accept"),
        (f"{spec.group_id}_out", "daddr", spec.egress, "goto to_guest"),
    ):
        lines.append(f"flush chain inet {TABLE} {chain}")
        for rule in rules:
            match = _match(rule, direction)
            if match is not None:
                lines.append(f"add rule inet {TABLE} {chain} {match} {verdict}")
    return _text(lines)


def delete_group(group_id: str, *, referenced: bool) -> str:
    """Return the removal of a group that no interface has.

    Args:
        group_id: The group.
        referenced: Whether another group's rules name it. Then its set stays, empty.
    """
    lines = _group_objects(group_id)
    lines += [f"delete chain inet {TABLE} {group_id}_{way}" for way in ("in", "out")]
    lines.append(f"{'flush' if referenced else 'delete'} set inet {TABLE} {_members(group_id)}")
    return _text(lines)


def references(spec: GroupSpec, group_id: str) -> bool:
    """Tell whether a group's rules name another group."""
    return group_id in _peers(spec)


def plug(spec: InterfaceSpec, left_groups: frozenset[str] = _NO_MEMBERS) -> str:
    """Return one transaction that lets an interface in, or brings it to this description.

    Args:
        spec: The interface. Groups that were not described yet allow nothing.
        left_groups: Groups that it was in before and is not in any more.
    """
    tap, address = tap_name(spec.interface_id), IPv4Address(spec.private_ip)
    lines = [line for group_id in spec.group_ids for line in _group_objects(group_id)]
    for way in ("in", "out"):
        chain = f"{tap}_{way}"
        lines += [f"add chain inet {TABLE} {chain}", f"flush chain inet {TABLE} {chain}"]
        lines += [f"add rule inet {TABLE} {chain} jump {group_id}_{way}" for group_id in spec.group_ids]
        lines.append(f"add rule inet {TABLE} {chain} drop")
    lines += [f"add element inet {TABLE} {_members(name)} {{ {address} }}" for name in spec.group_ids]
    lines += [f"delete element inet {TABLE} {_members(name)} {{ {address} }}" for name in sorted(left_groups)]
    lines += [f"add element inet {TABLE} sources {{ {_sources(tap, spec.mac, address)} }}"]
    lines += [
        f'add element inet {TABLE} {hook} {{ "{tap}" : goto {tap}_{way} }}'
        for hook, way in (("ingress", "in"), ("egress", "out"))
    ]
    return _text(lines)


def unplug(spec: InterfaceSpec) -> str:
    """Return one transaction that shuts a plugged interface out."""
    tap, address = tap_name(spec.interface_id), IPv4Address(spec.private_ip)
    lines = [f'delete element inet {TABLE} {hook} {{ "{tap}" }}' for hook in ("ingress", "egress")]
    lines.append(f"delete element inet {TABLE} sources {{ {_sources(tap, spec.mac, address)} }}")
    lines += [f"delete element inet {TABLE} {_members(name)} {{ {address} }}" for name in spec.group_ids]
    for way in ("in", "out"):
        lines += [f"flush chain inet {TABLE} {tap}_{way}", f"delete chain inet {TABLE} {tap}_{way}"]
    return _text(lines)


def publish_inside(public_ip: str, private_ip: str) -> str:
    """Return the segment's translation of a middle address (root only)."""
    return f"add element inet {TABLE} private {{ {middle_address(public_ip)} : {IPv4Address(private_ip)} }}\n"


def withdraw_inside(public_ip: str) -> str:
    """Return the end of a middle address in its segment (root only)."""
    return f"delete element inet {TABLE} private {{ {middle_address(public_ip)} }}\n"


def names_host(network: IPv4Network) -> bool:
    """Tell whether a rule with this range is also about the host.

    Guests see the host as 100.127.0.1, but whoever writes a rule thinks of it as 127.0.0.1 (or as everybody).
    """
    return _LOOPBACK in network or IPv4Address(HOST_ADDRESS) in network


def ports(rule: FirewallRule) -> tuple[int, int]:
    """Return the first and last port of a rule for tcp or udp.

    Raises:
        ValueError: They are no ports, or the wrong way round.
    """
    first, last = rule.from_port, rule.to_port
    if first is None or last is None or -1 in (first, last):
        return _ANY_PORT
    if not _ANY_PORT[0] <= first <= last <= _ANY_PORT[1]:
        raise ValueError(f"not a range of ports: {rule.from_port} to {rule.to_port}")
    return first, last


def protocol(rule: FirewallRule) -> str:
    """Return a rule's protocol as its name where Linux and EC2 have one, else its number; `-1` for all."""
    return _PROTOCOLS.get(rule.protocol, rule.protocol)


def _match(rule: FirewallRule, direction: str) -> str | None:
    """Return what a rule matches, or None when it is about IPv6 and so has no effect."""
    peer = _peer(rule, direction)
    what = _what(rule)
    return None if peer is None or what is None else f"{peer} {what}".strip()


def _peer(rule: FirewallRule, direction: str) -> str | None:
    if (rule.cidr is None) == (rule.group_id is None):
        raise ValueError("a rule has either a range or a group")
    if rule.group_id is not None:
        return f"ip {direction} @{_members(rule.group_id)}"
    network = ip_network(rule.cidr or "", strict=False)
    if not isinstance(network, IPv4Network):
        return None
    if network.prefixlen == 0:
        return ""
    if direction == "saddr" and names_host(network) and IPv4Address(HOST_ADDRESS) not in network:
        return f"ip saddr {{ {network}, {HOST_ADDRESS} }}"
    return f"ip {direction} {network}"


def _what(rule: FirewallRule) -> str | None:
    match protocol(rule):
        case "-1":
            return "meta nfproto ipv4"
        case "tcp" | "udp" as name:
            first, last = ports(rule)
            if (first, last) == _ANY_PORT:
                return f"meta l4proto {name}"
            return f"{name} dport {first}" if first == last else f"{name} dport {first}-{last}"
        case "icmp":
            return _icmp(rule)
        case "icmpv6":
            return None
        case other:
            if not (other.isascii() and other.isdigit() and int(other) <= _PROTOCOL_LAST):
                raise ValueError(f"not a protocol: {other!r}")
            return f"meta l4proto {int(other)}"


def _icmp(rule: FirewallRule) -> str:
    words = []
    for word, number in (("type", rule.from_port), ("code", rule.to_port)):
        if number is None or number == -1:
            break  # a code without a type means nothing
        if not 0 <= number <= _PROTOCOL_LAST:
            raise ValueError(f"not an ICMP {word}: {number}")
        words.append(f"icmp {word} {number}")
    return " ".join(words) or "meta l4proto icmp"


def _sources(tap: str, mac: str, address: IPv4Address) -> str:
    """Return what a guest may send from: its address, and none at all while it asks for one by DHCP."""
    octets = bytes.fromhex(mac.replace(":", ""))
    hardware = ":".join(f"{octet:02x}" for octet in octets)
    return f'"{tap}" . {hardware} . {address}, "{tap}" . {hardware} . 0.0.0.0'


def _group_objects(group_id: str) -> list[str]:
    checked_id(group_id)
    return [
        f"add set inet {TABLE} {_members(group_id)} {{ type ipv4_addr; }}",
        f"add chain inet {TABLE} {group_id}_in",
        f"add chain inet {TABLE} {group_id}_out",
    ]


def _members(group_id: str) -> str:
    return f"{checked_id(group_id)}_members"


def _peers(spec: GroupSpec) -> list[str]:
    """Return the groups that a group's rules name, each once."""
    named = (rule.group_id for rule in (*spec.ingress, *spec.egress))
    return sorted({group_id for group_id in named if group_id is not None})


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
