"""What a rule of a security group or a network ACL matches, in nftables' words. Pure."""

from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Final, Literal

from bakehouse.drivers.network.linux.layout import HOST_ADDRESS, checked_id
from bakehouse.ports.network import AclRule, FirewallRule

Direction = Literal["saddr", "daddr"]

_LOOPBACK: Final = IPv4Address("127.0.0.1")
_ANY_PORT: Final = (0, 65535)
_PROTOCOL_LAST: Final = 255
_PROTOCOLS: Final = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6"}
#: Which IP an ICMP belongs to. A rule of one for a range of the other matches nothing.
_VERSIONS: Final = {"icmp": 4, "icmpv6": 6}


def matches(rule: FirewallRule | AclRule, direction: Direction) -> list[str]:
    """Return what matches a rule: one text, or one per IP version for a group; none if its IP has no such ICMP.

    Args:
        rule: The rule.
        direction: Where the other side's address is: `saddr` on the way in, `daddr` on the way out.

    Raises:
        ValueError: A port is no port, a range no range, a protocol no protocol, or there is no one peer.
    """
    found = []
    for version, peer in _peers(rule, direction):
        what = _what(rule, version)
        if what is not None:
            found.append(f"{peer} {what}".strip())
    return found


def members(group_id: str, version: int) -> str:
    """Return the name of the set of a group's members' addresses."""
    return f"{checked_id(group_id)}_members{version}"


def names_host(network: IPv4Network) -> bool:
    """Tell whether a rule with this range is also about the host.

    Guests see the host as 100.127.0.1, but whoever writes a rule thinks of it as 127.0.0.1 (or as everybody).
    """
    return _LOOPBACK in network or IPv4Address(HOST_ADDRESS) in network


def ports(rule: FirewallRule | AclRule) -> tuple[int, int]:
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


def protocol(rule: FirewallRule | AclRule) -> str:
    """Return a rule's protocol as its name where Linux and EC2 have one, else its number; `-1` for all."""
    return _PROTOCOLS.get(rule.protocol, rule.protocol)


def _peers(rule: FirewallRule | AclRule, direction: Direction) -> list[tuple[int, str]]:
    """Return what matches the other side, by IP version."""
    group_id = rule.group_id if isinstance(rule, FirewallRule) else None
    if (rule.cidr is None) == (group_id is None):
        raise ValueError("a rule has either a range or a group")
    if group_id is not None:
        return [
            (4, f"ip {direction} @{members(group_id, 4)}"),
            (6, f"ip6 {direction} @{members(group_id, 6)}"),
        ]
    network = ip_network(rule.cidr or "", strict=False)
    if network.prefixlen == 0:
        return [(network.version, f"meta nfproto ipv{network.version}")]
    if not isinstance(network, IPv4Network):
        return [(6, f"ip6 {direction} {network}")]
    # Groups do not ask what a guest sends to the host: it only ever answers there.
    about_host = direction == "saddr" or isinstance(rule, AclRule)
    if about_host and names_host(network) and IPv4Address(HOST_ADDRESS) not in network:
        return [(4, f"ip {direction} {{ {network}, {HOST_ADDRESS} }}")]
    return [(4, f"ip {direction} {network}")]


def _what(rule: FirewallRule | AclRule, version: int) -> str | None:
    match protocol(rule):
        case "-1":
            return ""
        case "tcp" | "udp" as name:
            first, last = ports(rule)
            if (first, last) == _ANY_PORT:
                return f"meta l4proto {name}"
            return f"{name} dport {first}" if first == last else f"{name} dport {first}-{last}"
        case "icmp" | "icmpv6" as name:
            return _icmp(rule, name) if version == _VERSIONS[name] else None
        case other:
            if not (other.isascii() and other.isdigit() and int(other) <= _PROTOCOL_LAST):
                raise ValueError(f"not a protocol: {other!r}")
            return f"meta l4proto {int(other)}"


def _icmp(rule: FirewallRule | AclRule, name: str) -> str:
    words = []
    for word, number in (("type", rule.from_port), ("code", rule.to_port)):
        if number is None or number == -1:
            break  # a code without a type means nothing
        if not 0 <= number <= _PROTOCOL_LAST:
            raise ValueError(f"not an ICMP {word}: {number}")
        words.append(f"{name} {word} {number}")
    return " ".join(words) or f"meta l4proto {name}"
