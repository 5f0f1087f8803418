"""Rulesets of nftables as text. Pure functions: they read nothing and change nothing.

The shape of a segment's table, the same with root and without:

- `antispoof` (before everything) lets a packet of a tap pass only with that tap's MAC and addresses; of one that may
  forward, with others' too, though not those of the host and of the segment itself.
- `borders` has its say next, about routes and network ACLs.
- `forward` drops unless a connection is known, or the sender's groups (`egress`) and then the receiver's groups
  (`ingress`) accept it. Both are maps from tap to that interface's chain, so the cost does not grow with taps.
- `output` puts what this namespace itself begins through `ingress`: the forwarder's connections start here.
- `input` lets guests reach DHCP, DNS, the metadata service, ping, and find their IPv6 router; nothing else.
- A group has a chain per direction, which interfaces jump to, and a set of its members' addresses, which other
  groups' rules name. So one group, or one interface, changes in one small transaction.
"""

from ipaddress import IPv4Address, ip_address
from typing import Final

from bakehouse.drivers.network.linux.layout import (
    FORWARDED_ADDRESS,
    FORWARDED_ZONE,
    HOST_ADDRESS,
    HOST_LINK,
    IPV6_RESOLVER,
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
from bakehouse.drivers.network.linux.matches import Direction, matches, members
from bakehouse.ports.network import FirewallRule, GroupSpec, InterfaceSpec

TABLE: Final = "bakehouse"

_VERSIONS: Final = (4, 6)

#: What guests and their router say to each other, so that they find each other. Source: RFC 4861, RFC 3810.
_NEIGHBOURS: Final = "nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query"
_FROM_ROUTER: Final = f"{{ {_NEIGHBOURS}, nd-router-advert }}"
_TO_ROUTER: Final = f"{{ {_NEIGHBOURS}, nd-router-solicit, mld-listener-report, mld2-listener-report, echo-request }}"


def base(vpc_resolver: str) -> str:
    """Return the ruleset of a segment without groups and interfaces. It replaces whatever was there."""
    return f"""\
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  set sources {{ type ifname . ether_addr . ipv4_addr; }}
  set sources6 {{ type ifname . ether_addr . ipv6_addr; }}
  set dual_stack {{ type ifname . ether_addr; }}
  set forwarders {{ type ifname . ether_addr; }}
  map egress {{ type ifname : verdict; }}
  map ingress {{ type ifname : verdict; elements = {{ "{UPLINK}" : accept }}; }}
  map private {{ type ipv4_addr : ipv4_addr; }}
  chain antispoof {{
    type filter hook prerouting priority raw; policy drop;
    iifname "{UPLINK}" ip daddr {FORWARDED_ADDRESS} ct zone set {FORWARDED_ZONE}
    iifname != "{TAP_PREFIX}*" accept
    iifname . ether saddr . ip saddr @sources accept
    iifname . ether saddr . ip6 saddr @sources6 accept
    ip6 saddr fe80::/10 iifname . ether saddr @dual_stack accept
    ip saddr {{ {RESERVED}, 127.0.0.0/8, 169.254.0.0/16 }} drop
    iifname . ether saddr @forwarders fib daddr oifname "{UPLINK}" ct zone set {FORWARDED_ZONE} accept
    iifname . ether saddr @forwarders fib daddr type unicast accept
  }}
  chain arrive {{
    type nat hook prerouting priority dstnat;
    iifname "{HOST_LINK}" dnat ip to ip daddr map @private
  }}
  chain leave {{
    type nat hook postrouting priority srcnat;
    oifname "{UPLINK}" ct zone {FORWARDED_ZONE} snat ip to {FORWARDED_ADDRESS}
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
{_own_chains(vpc_resolver)}}}
"""


def _own_chains(vpc_resolver: str) -> str:
    """Return the chains of what the segment itself sends, and of what is for itself."""
    return f"""\
  chain output {{
    type filter hook output priority filter; policy accept;
    ct state established,related accept
    oifname "{TAP_PREFIX}*" udp sport {{ 67, 547 }} accept
    oifname "{TAP_PREFIX}*" icmpv6 type {_FROM_ROUTER} accept
    oifname vmap @ingress
  }}
  chain from_guest {{
    udp sport 68 udp dport 67 accept
    ip daddr {{ {vpc_resolver}, {LINK_LOCAL_RESOLVER} }} meta l4proto {{ tcp, udp }} th dport 53 accept
    ip daddr {METADATA_ADDRESS} tcp dport {METADATA_PORT} accept
    ip daddr != {RESERVED} icmp type echo-request accept
    udp sport 546 udp dport 547 accept
    ip6 daddr {IPV6_RESOLVER} meta l4proto {{ tcp, udp }} th dport 53 accept
    icmpv6 type {_TO_ROUTER} accept
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state vmap {{ established : accept, related : accept, invalid : drop }}
    iifname "lo" accept
    iifname "{TAP_PREFIX}*" goto from_guest
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
    lines += [line for peer in _peers(spec) for line in _member_sets(peer)]
    ways: tuple[tuple[str, Direction, tuple[FirewallRule, ...], str], ...] = (
        (f"{spec.group_id}_in", "saddr", spec.ingress, "accept"),
        (f"{spec.group_id}_out", "daddr", spec.egress, "goto to_guest"),
    )
    for chain, direction, rules, verdict in ways:
        lines.append(f"flush chain inet {TABLE} {chain}")
        for rule in rules:
            lines += [f"add rule inet {TABLE} {chain} {match} {verdict}" for match in matches(rule, direction)]
    return _text(lines)


def delete_group(group_id: str, *, referenced: bool) -> str:
    """Return the removal of a group that no interface has.

    Args:
        group_id: The group.
        referenced: Whether another group's rules name it. Then its set stays, empty.
    """
    lines = _group_objects(group_id)
    lines += [f"delete chain inet {TABLE} {group_id}_{way}" for way in ("in", "out")]
    verb = "flush" if referenced else "delete"
    lines += [f"{verb} set inet {TABLE} {members(group_id, version)}" for version in _VERSIONS]
    return _text(lines)


def references(spec: GroupSpec, group_id: str) -> bool:
    """Tell whether a group's rules name another group."""
    return group_id in _peers(spec)


def plug(spec: InterfaceSpec, before: InterfaceSpec | None = None) -> str:
    """Return one transaction that lets an interface in, or brings it to this description.

    Args:
        spec: The interface. Groups that were not described yet allow nothing.
        before: What it was described as until now.
    """
    tap = tap_name(spec.interface_id)
    lines = [line for group_id in spec.group_ids for line in _group_objects(group_id)]
    for way in ("in", "out"):
        chain = f"{tap}_{way}"
        lines += [f"add chain inet {TABLE} {chain}", f"flush chain inet {TABLE} {chain}"]
        lines += [f"add rule inet {TABLE} {chain} jump {group_id}_{way}" for group_id in spec.group_ids]
        lines.append(f"add rule inet {TABLE} {chain} drop")
    if before is not None:
        lines += _elements("delete", before)
    lines += _elements("add", spec)
    lines += [
        f'add element inet {TABLE} {hook} {{ "{tap}" : goto {tap}_{way} }}'
        for hook, way in (("ingress", "in"), ("egress", "out"))
    ]
    return _text(lines)


def unplug(spec: InterfaceSpec) -> str:
    """Return one transaction that shuts a plugged interface out."""
    tap = tap_name(spec.interface_id)
    lines = [f'delete element inet {TABLE} {hook} {{ "{tap}" }}' for hook in ("ingress", "egress")]
    lines += _elements("delete", spec)
    for way in ("in", "out"):
        lines += [f"flush chain inet {TABLE} {tap}_{way}", f"delete chain inet {TABLE} {tap}_{way}"]
    return _text(lines)


def _elements(verb: str, spec: InterfaceSpec) -> list[str]:
    """Return what adds an interface's addresses to the sets, or deletes them."""
    tap, hardware = tap_name(spec.interface_id), _hardware(spec.mac)
    by_version = {4: private_addresses(spec), 6: tuple(str(ip_address(each)) for each in spec.ipv6_addresses)}
    lines = [
        f"{verb} element inet {TABLE} {members(group_id, version)} {{ {', '.join(addresses)} }}"
        for group_id in spec.group_ids
        for version, addresses in by_version.items()
        if addresses
    ]
    # None at all (0.0.0.0, ::) is what a guest sends from while it asks for its address by DHCP.
    sources = ", ".join(f'"{tap}" . {hardware} . {address}' for address in (*by_version[4], "0.0.0.0"))  # noqa: S104
    lines.append(f"{verb} element inet {TABLE} sources {{ {sources} }}")
    if by_version[6]:
        sources = ", ".join(f'"{tap}" . {hardware} . {address}' for address in (*by_version[6], "::"))
        lines.append(f"{verb} element inet {TABLE} sources6 {{ {sources} }}")
        lines.append(f'{verb} element inet {TABLE} dual_stack {{ "{tap}" . {hardware} }}')
    if not spec.source_dest_check:
        lines.append(f'{verb} element inet {TABLE} forwarders {{ "{tap}" . {hardware} }}')
    translations = ", ".join(
        f"{middle_address(public)} : {private}" if verb == "add" else middle_address(public)
        for public, private in public_addresses(spec).items()
    )
    if translations:
        lines.append(f"{verb} element inet {TABLE} private {{ {translations} }}")
    return lines


def private_addresses(spec: InterfaceSpec) -> tuple[str, ...]:
    """Return an interface's private IPv4 addresses, the primary first."""
    return (str(IPv4Address(spec.private_ip)), *(str(IPv4Address(each.private_ip)) for each in spec.secondary_ips))


def public_addresses(spec: InterfaceSpec) -> dict[str, str]:
    """Return an interface's public addresses, and to which private one each leads."""
    pairs = ((spec.public_ip, spec.private_ip), *((each.public_ip, each.private_ip) for each in spec.secondary_ips))
    return {public: private for public, private in pairs if public is not None}


def _hardware(mac: str) -> str:
    return ":".join(f"{octet:02x}" for octet in bytes.fromhex(mac.replace(":", "")))


def _group_objects(group_id: str) -> list[str]:
    return [
        *_member_sets(checked_id(group_id)),
        f"add chain inet {TABLE} {group_id}_in",
        f"add chain inet {TABLE} {group_id}_out",
    ]


def _member_sets(group_id: str) -> list[str]:
    return [f"add set inet {TABLE} {members(group_id, version)} {{ type ipv{version}_addr; }}" for version in _VERSIONS]


def _peers(spec: GroupSpec) -> list[str]:
    """Return the groups that a group's rules name, each once."""
    named = (rule.group_id for rule in (*spec.ingress, *spec.egress))
    return sorted({group_id for group_id in named if group_id is not None})


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
