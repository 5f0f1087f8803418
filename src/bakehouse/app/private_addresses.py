"""Private addresses: those of a subnet that a request chooses or is given."""

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from bakehouse.domain.errors import invalid_parameter
from bakehouse.domain.network import (
    Subnet,
    address_in_use,
    address_outside_subnet,
    free_addresses,
    is_assignable,
    subnet_full,
)
from bakehouse.sagas.held_by_fabric import private_key
from bakehouse.store.store import Store

#: Source: VPC User Guide, "Subnet CIDR blocks": the first four IPv6 addresses of a subnet, and its last, are reserved.
_RESERVED: Final = 4


class PrivateAddresses:
    """Hands out addresses within one request: what it gave is taken, though no record has it yet."""

    def __init__(self, store: Store) -> None:
        """Look up what is taken in these records."""
        self._taken = store.network_interfaces.by("address")
        self._held = store.sagas.by("holds")
        self._reserved = store.subnet_cidr_reservations.by("subnet")
        self._given: set[tuple[str, str]] = set()
        self._free: dict[str, Iterator[str]] = {}

    def take(self, subnet: Subnet, addresses: Iterable[str]) -> tuple[str, ...]:
        """Take these. Refuses one that the subnet does not have (InvalidParameterValue) or that is in use."""
        wanted = tuple(addresses)
        for address in wanted:
            if not is_assignable(subnet.cidr, address):
                raise address_outside_subnet(address)
            if self._is_taken(subnet, address):
                raise address_in_use(address)
            self._given.add((subnet.vpc_id, address))
        return wanted

    def take_free(self, subnet: Subnet, count: int) -> tuple[str, ...]:
        """Take as many, the lowest first: InsufficientFreeAddressesInSubnet when there are not so many."""
        if subnet.id not in self._free:
            reserved = tuple(it.cidr for it in self._reserved[subnet.id].values())
            self._free[subnet.id] = free_addresses(subnet.cidr, reserved)
        found: list[str] = []
        while len(found) < count:
            address = next(self._free[subnet.id], None)
            if address is None:
                raise subnet_full(subnet.id)
            if not self._is_taken(subnet, address):
                self._given.add((subnet.vpc_id, address))
                found.append(address)
        return tuple(found)

    def take_ipv6(self, subnet: Subnet, addresses: Iterable[str]) -> tuple[str, ...]:
        """Take these. Refuses one that the subnet does not have (InvalidParameterValue) or that is in use."""
        wanted = tuple(_ipv6_in(subnet, text) for text in addresses)
        for address in wanted:
            if self._is_taken(subnet, address):
                raise address_in_use(address)
            self._given.add((subnet.vpc_id, address))
        return wanted

    def take_free_ipv6(self, subnet: Subnet, count: int) -> tuple[str, ...]:
        """Take as many, the lowest first. Refuses a subnet without an IPv6 range."""
        found: list[str] = []
        if count:
            network = _ipv6_network(subnet)
            numbers = iter(range(int(network.network_address) + _RESERVED, int(network.broadcast_address)))
            while len(found) < count:
                address = str(ipaddress.IPv6Address(next(numbers)))
                if not self._is_taken(subnet, address):
                    self._given.add((subnet.vpc_id, address))
                    found.append(address)
        return tuple(found)

    def _is_taken(self, subnet: Subnet, address: str) -> bool:
        key = subnet.vpc_id, address
        return key in self._given or bool(self._taken[key]) or bool(self._held[private_key(*key)])


def _ipv6_network(subnet: Subnet) -> ipaddress.IPv6Network:
    if subnet.ipv6_cidr is None:
        raise invalid_parameter(f"Invalid value '{subnet.id}' for subnetId. It has no IPv6 CIDR block.")
    return ipaddress.IPv6Network(subnet.ipv6_cidr.cidr)


def _ipv6_in(subnet: Subnet, text: str) -> str:
    """Return an address in its usual form."""
    network = _ipv6_network(subnet)
    try:
        address = ipaddress.IPv6Address(text)
    except ipaddress.AddressValueError as err:
        raise invalid_parameter(f"Invalid IPv6 address: {text}") from err
    if not int(network.network_address) + _RESERVED <= int(address) < int(network.broadcast_address):
        raise address_outside_subnet(text)
    return str(address)
