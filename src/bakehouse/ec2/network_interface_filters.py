"""Filters of network interfaces: DescribeNetworkInterfaces has them, and DescribeInstances below `network-interface.`.

Source: EC2 API Reference, DescribeNetworkInterfaces and DescribeInstances, Filters. Names that stand for what no
interface here has (prefixes, carrier addresses, outposts) are known and match nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from bakehouse.domain.network_interface import AddressAssociation, InterfaceType, NetworkInterface
from bakehouse.domain.region import zone_id
from bakehouse.ec2.filters import Filters, Values, flag
from bakehouse.ec2.network_interface_views import Entry, owner_of, private_name


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _of(value: Callable[[NetworkInterface], str | None]) -> Values[Entry]:
    return lambda entry: (value(entry[0]),)


def _each(values: Callable[[NetworkInterface], Iterable[str | None]]) -> Values[Entry]:
    return lambda entry: values(entry[0])


def _attached(value: Callable[[NetworkInterface], str | None]) -> Values[Entry]:
    return lambda entry: (value(entry[0]),) if entry[0].instance_id is not None else ()


def _elastic(value: Callable[[AddressAssociation], str]) -> Values[Entry]:
    """Return the values of the Elastic IPs of all its addresses."""
    return lambda entry: [value(association) for association in entry[0].associations]


def _primary_elastic(value: Callable[[AddressAssociation], str]) -> Values[Entry]:
    def values(entry: Entry) -> Iterable[str]:
        association = entry[0].association_of(entry[0].private_ip)
        return () if association is None else (value(association),)

    return values


def _public_ips(interface: NetworkInterface) -> list[str]:
    return [it for it in map(interface.public_ip_of, interface.private_ips) if it is not None]


def _public_names(entry: Entry) -> Iterable[str]:
    """Return the names of all its public addresses; none in a VPC without such names."""
    interface, _groups, naming = entry
    return [name for address in _public_ips(interface) if (name := naming.of(address, interface.region))]


def primary_public_name(entry: Entry) -> Iterable[str]:
    """Return the public name of the primary address, if it has one."""
    interface, _groups, naming = entry
    name = naming.of(interface.public_ip, interface.region)
    return (name,) if name else ()


def _nothing(_entry: Entry) -> Iterable[str]:
    return ()


#: What both operations know under the same name.
SHARED: Final[Mapping[str, Values[Entry]]] = {
    "addresses.association.allocation-id": _elastic(lambda it: it.allocation_id),
    "addresses.association.association-id": _elastic(lambda it: it.id),
    "addresses.association.carrier-ip": _nothing,
    "addresses.association.customer-owned-ip": _nothing,
    "addresses.association.ip-owner-id": _each(lambda it: [owner_of(it, address) for address in it.private_ips]),
    "addresses.association.public-dns-name": _public_names,
    "addresses.association.public-ip": _each(_public_ips),
    "addresses.primary": _each(lambda it: [flag(address == it.private_ip) for address in it.private_ips]),
    "addresses.private-dns-name": _each(lambda it: [private_name(it, address) for address in it.private_ips]),
    "addresses.private-ip-address": _each(lambda it: it.private_ips),
    "association.allocation-id": _primary_elastic(lambda it: it.allocation_id),
    "association.association-id": _primary_elastic(lambda it: it.id),
    "association.carrier-ip": _nothing,
    "association.customer-owned-ip": _nothing,
    "association.ip-owner-id": _of(lambda it: owner_of(it, it.private_ip)),
    "association.public-dns-name": primary_public_name,
    "association.public-ip": _of(lambda it: it.public_ip),
    "attachment.attach-time": _attached(lambda it: _moment(it.attached_at) if it.attached_at else None),
    "attachment.attachment-id": _attached(lambda it: it.attachment_id),
    "attachment.delete-on-termination": _attached(lambda it: flag(it.delete_on_termination)),
    "attachment.device-index": _attached(lambda it: str(it.device_index)),
    "attachment.instance-id": _attached(lambda it: it.instance_id),
    "attachment.instance-owner-id": _attached(lambda it: it.account_id),
    "attachment.network-card-index": _attached(lambda _it: "0"),
    "attachment.status": _attached(lambda it: it.attachment_state.value),
    "availability-zone": _of(lambda it: it.availability_zone),
    "description": _of(lambda it: it.description),
    "group-id": lambda entry: [group.id for group in entry[1]],
    "group-name": lambda entry: [group.name for group in entry[1]],
    "ipv6-addresses.ipv6-address": _each(lambda it: it.ipv6_addresses),
    "mac-address": _of(lambda it: it.mac),
    "network-interface-id": _of(lambda it: it.id),
    "operator.managed": _of(lambda _it: "false"),
    "operator.principal": _nothing,
    "owner-id": _of(lambda it: it.account_id),
    "private-dns-name": _of(private_name),
    "private-ip-address": _each(lambda it: it.private_ips),
    "requester-id": _of(lambda it: it.account_id if it.type is not InterfaceType.INTERFACE else None),
    "requester-managed": _of(lambda it: flag(it.type is not InterfaceType.INTERFACE)),
    "source-dest-check": _of(lambda it: flag(it.source_dest_check)),
    "status": _of(lambda it: it.status),
    "subnet-id": _of(lambda it: it.subnet_id),
    "vpc-id": _of(lambda it: it.vpc_id),
}

#: What DescribeInstances alone knows.
OF_INSTANCES: Final[Mapping[str, Values[Entry]]] = {
    **SHARED,
    "deny-all-igw-traffic": _of(lambda _it: "false"),
    "ipv4-prefixes.ipv4-prefix": _nothing,
    "ipv6-address": _each(lambda it: it.ipv6_addresses),
    "ipv6-addresses.is-primary-ipv6": _each(lambda it: ["false" for _ in it.ipv6_addresses]),
    "ipv6-native": _of(lambda _it: "false"),
    "ipv6-prefixes.ipv6-prefix": _nothing,
    "outpost-arn": _nothing,
    "public-dns-name": primary_public_name,
    "tag-key": lambda entry: entry[0].tags,
    "tag-value": lambda entry: entry[0].tags.values(),
}

FILTERS: Final[Filters[Entry]] = Filters(
    {
        **SHARED,
        "addresses.association.owner-id": _each(lambda it: [owner_of(it, address) for address in it.private_ips]),
        "availability-zone-id": _of(lambda it: zone_id(it.availability_zone)),
        "interface-type": _of(lambda it: it.type.value),
        "network-interface-permission.network-interface-permission-id": _nothing,
        "private-ip-address": _each(lambda it: it.private_ips),
    },
    tags=lambda entry: entry[0].tags,
)
