"""Which way a subnet's packets go: route tables as ranges of addresses, each with a firewall mark. Pure.

The firewall marks a packet by its destination as it comes from a guest; the mark chooses the kernel's table, and the
chains that the packet must pass. So one number says both where it goes and by what right:

- `LOCAL` (0): the VPC, or what the segment itself answers. The kernel's main table.
- `INTERNET` (1): outside, as itself. The main table's default route; only with a public address.
- 1 and a number in the upper half: outside, by the NAT gateway of that number.
- 256 and more: to a guest's interface that forwards, by a table of that number.
- `BLACKHOLE`: nowhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from bakehouse.drivers.network.linux.layout import HOST_ADDRESS
from bakehouse.ports.network import NatGatewaySpec, RouteSpec, SegmentSpec, SubnetSpec

Network = IPv4Network | IPv6Network

LOCAL: Final = 0
INTERNET: Final = 1
BLACKHOLE: Final = 0xFFFF
TABLE_MASK: Final = 0xFFFF
"""The half of a mark that chooses the kernel's table."""

V4: Final = 4
V6: Final = 6

_NAT_SHIFT: Final = 16
_FIRST_INTERFACE_TABLE: Final = 0x100

#: Never routed, whatever the table says: the segment answers there, or nobody. Source: VPC User Guide, "Subnet route
#: tables", "Reserved route tables destinations" (169.254.168.0/22 and fd00:ec2::/32).
_ALWAYS_LOCAL: Final[Mapping[int, tuple[Network, ...]]] = {
    V4: (IPv4Network("169.254.0.0/16"), IPv4Network("255.255.255.255/32")),
    V6: (IPv6Network("fe80::/10"), IPv6Network("ff00::/8"), IPv6Network("fd00:ec2::/32")),
}
_LAST: Final = {V4: (1 << 32) - 1, V6: (1 << 128) - 1}


@dataclass(frozen=True, slots=True)
class Way:
    """Addresses from the first to the last, as numbers, and the mark of what goes there."""

    first: int
    last: int
    mark: int


class Numbers:
    """Numbers for subnets, NAT gateways and interfaces; an id keeps its number as long as this lives."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, identifier: str) -> int:
        """Return an id's number, 1 or more. Subnets have it as the device group of their taps."""
        return self._numbers.setdefault(identifier, len(self._numbers) + 1)

    def nat_mark(self, nat_gateway_id: str) -> int:
        """Return the mark of what leaves by a NAT gateway."""
        return self.of(nat_gateway_id) << _NAT_SHIFT | INTERNET

    def interface_mark(self, interface_id: str) -> int:
        """Return the mark of what is routed to an interface; also the number of that table."""
        return self.of(interface_id) + _FIRST_INTERFACE_TABLE


def ways(
    segment: SegmentSpec, subnet: SubnetSpec, numbers: Numbers, *, forwarding: frozenset[str], version: int = V4
) -> list[Way]:
    """Return where a subnet's packets go, all addresses in order.

    Args:
        segment: The VPC, for its ranges, gateways, and the other subnets.
        subnet: Whose packets.
        numbers: Gives the marks.
        forwarding: Interfaces that are plugged and may forward; routes to others are blackholes.
        version: 4 or 6.
    """
    nats = {numbers.nat_mark(gateway.nat_gateway_id): gateway for gateway in segment.nat_gateways}
    found = _first_hops(segment, subnet, numbers, forwarding, version)
    subnets = {each.subnet_id: each for each in segment.subnets}
    result: list[Way] = []
    for way in found:
        gateway = nats.get(way.mark)
        if gateway is None:
            _append(result, way)
            continue
        home = subnets.get(gateway.subnet_id)
        if home is None or not _leads_outside(gateway, version):
            _append(result, Way(way.first, way.last, BLACKHOLE))
            continue
        for further in _first_hops(segment, home, numbers, forwarding, version):
            first, last = max(way.first, further.first), min(way.last, further.last)
            if first <= last:
                _append(result, Way(first, last, way.mark if further.mark == INTERNET else BLACKHOLE))
    return result


def is_open_to_host(segment: SegmentSpec, subnet_id: str) -> bool:
    """Tell whether a subnet's packets for the host, a peer in the internet to a guest, go to the internet gateway.

    Only then public addresses lead into the subnet. Source: VPC User Guide, "Enable VPC internet access using
    internet gateways".
    """
    host = int(IPv4Address(HOST_ADDRESS))
    return any(
        way.first <= host <= way.last and way.mark == INTERNET
        for subnet in segment.subnets
        if subnet.subnet_id == subnet_id
        for way in _first_hops(segment, subnet, Numbers(), frozenset(), V4)
    )


def flatten(networks: Mapping[Network, int], otherwise: int, version: int) -> list[Way]:
    """Return all addresses as ranges in order, each with the mark of the most specific network that has it."""
    result: list[Way] = []
    around = [(_LAST[version], otherwise)]
    position = 0
    for network in sorted(networks, key=lambda each: (int(each.network_address), each.prefixlen)):
        first, last = int(network[0]), int(network[-1])
        while around[-1][0] < first:
            position = _close(result, around, position)
        if position < first:
            _append(result, Way(position, first - 1, around[-1][1]))
            position = first
        around.append((last, networks[network]))
    while around:
        position = _close(result, around, position)
    return result


def address_text(number: int, version: int) -> str:
    """Return a number as an address."""
    return str(IPv4Address(number) if version == V4 else IPv6Address(number))


def vpc_networks(segment: SegmentSpec, version: int) -> Iterator[Network]:
    """Return a VPC's ranges."""
    texts = (segment.cidr, *segment.extra_cidrs) if version == V4 else filter(None, (segment.ipv6_cidr,))
    for text in texts:
        yield ip_network(text)


def _first_hops(
    segment: SegmentSpec, subnet: SubnetSpec, numbers: Numbers, forwarding: frozenset[str], version: int
) -> list[Way]:
    own = subnet.cidr if version == V4 else subnet.ipv6_cidr
    networks: dict[Network, int] = {}
    for route in subnet.routes:
        destination = ip_network(route.destination, strict=False)
        if destination.version != version or (own is not None and _is_within(destination, ip_network(own))):
            continue  # within a subnet nothing is routed
        networks[destination] = _mark(segment, route, numbers, forwarding, version)
    networks |= dict.fromkeys(vpc_networks(segment, version), LOCAL)
    networks |= dict.fromkeys(_ALWAYS_LOCAL[version], LOCAL)
    if own is not None:
        networks[ip_network(own)] = LOCAL
    return flatten(networks, BLACKHOLE, version)


def _mark(segment: SegmentSpec, route: RouteSpec, numbers: Numbers, forwarding: frozenset[str], version: int) -> int:
    match route.target:
        case "internet" if segment.has_internet_gateway:
            return INTERNET
        case "egress_only" if version == V6:
            return INTERNET
        case "nat" if any(route.target_id == gateway.nat_gateway_id for gateway in segment.nat_gateways):
            return numbers.nat_mark(route.target_id)
        case "interface" if route.target_id in forwarding:
            return numbers.interface_mark(route.target_id)
        case _:
            return BLACKHOLE


def _leads_outside(gateway: NatGatewaySpec, version: int) -> bool:
    return gateway.public_ip is not None and version == V4


def _is_within(network: Network, other: Network) -> bool:
    return network[0] in other and network[-1] in other


def _close(result: list[Way], around: list[tuple[int, int]], position: int) -> int:
    """End the innermost network; return where what follows it begins."""
    last, mark = around.pop()
    if position > last:
        return position
    _append(result, Way(position, last, mark))
    return last + 1


def _append(result: list[Way], way: Way) -> None:
    if result and result[-1].mark == way.mark:
        way = Way(result.pop().first, way.last, way.mark)
    result.append(way)
