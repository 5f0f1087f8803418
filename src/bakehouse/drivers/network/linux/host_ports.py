"""Which of a guest's ports the host listens on, where a forwarder stands for the guest. Pure.

Without root nothing of the host can lead a whole address elsewhere, so each port is a socket. All ports of an address
would be 131,070 of them, more than most users may open; so of ranges that are wider than a few thousand ports only
those are listened on that people are likely to mean.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Final, Literal

from bakehouse.drivers.network.linux.matches import names_host, ports, protocol
from bakehouse.ports.network import FirewallRule, GroupSpec

#: Ports of one protocol that are listened on for one address: as many as Kubernetes' node ports (2,768) and some more.
MOST_PORTS: Final = 4096

#: Ports of a wider range that people are likely to mean, those of ssh, web, Windows' management and databases first.
WELL_KNOWN: Final = (
    *(22, 80, 443, 3389, 5985, 5986, 8080, 8443, 3000, 5000, 8000, 8888, 9000, 9090),
    *(21, 23, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995),
    *(69, 123, 161, 162, 500, 514, 1194, 1812, 4500, 4789, 5060, 5353, 8125, 51820),
    *(1433, 1521, 2049, 2181, 2375, 2376, 3306, 4200, 4443, 5173, 5432, 5601, 5672, 5900, 5984),
    *(6379, 6443, 7000, 7001, 8001, 8081, 8086, 8123, 8200, 8300, 8500, 9042, 9092, 9100, 9200, 9300),
    *(10250, 11211, 15672, 25565, 27017, 50000),
)

_ANY: Final = (0, 65535)

Protocol = Literal["tcp", "udp"]


@dataclass(frozen=True, slots=True, order=True)
class OpenPort:
    """A port on which a guest is to be reached."""

    protocol: Protocol
    number: int


def open_ports(groups: Iterable[GroupSpec]) -> frozenset[OpenPort]:
    """Return the ports on which the host listens for a guest with these groups.

    These are the ports of rules that are about the host (their range has 127.0.0.1 or everybody). All of a protocol,
    while they are few; of the widest ranges that would make them more than 4,096, the well-known ports only.
    """
    given = tuple(groups)
    protocols: tuple[Protocol, ...] = ("tcp", "udp")
    return frozenset(OpenPort(name, number) for name in protocols for number in _numbers(given, name))


def _numbers(groups: Iterable[GroupSpec], name: Protocol) -> set[int]:
    ranges = sorted(
        {_span(rule, name) for group in groups for rule in group.ingress if _is_open_to_host(rule)} - {None},
        key=lambda span: (span[1] - span[0], span) if span else (0, _ANY),
    )
    chosen: set[int] = set()
    wide: set[int] = set()
    for span in ranges:
        if span is None:
            continue
        first, last = max(span[0], 1), span[1]
        if last - first < MOST_PORTS and len(chosen | set(range(first, last + 1))) <= MOST_PORTS:
            chosen.update(range(first, last + 1))
        else:
            wide.update(port for port in WELL_KNOWN if first <= port <= last)
    for port in WELL_KNOWN:
        if port in wide and len(chosen) < MOST_PORTS:
            chosen.add(port)
    return chosen


def _is_open_to_host(rule: FirewallRule) -> bool:
    if rule.cidr is None:
        return False
    network = ip_network(rule.cidr, strict=False)
    return isinstance(network, IPv4Network) and names_host(network)


def _span(rule: FirewallRule, name: Protocol) -> tuple[int, int] | None:
    described = protocol(rule)
    if described == "-1":
        return _ANY
    return ports(rule) if described == name else None
