"""Further private addresses of interfaces: assigned and taken back, while machines run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext
from bakehouse.app.network_interfaces import NetworkInterfaces, address_count_limit, put_interface
from bakehouse.app.private_addresses import PrivateAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, invalid_parameter, missing_parameter
from bakehouse.domain.network_interface import NetworkInterface, address_limit, address_not_of, disassociated


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRequest:
    """Addresses to assign: these, or as many."""

    addresses: tuple[str, ...] = ()
    count: int | None = None
    allow_reassignment: bool = False
    """Whether a secondary IPv4 address may be taken from another interface."""


class InterfaceAddresses:
    """Use cases on the addresses of interfaces."""

    def __init__(self, context: AppContext, interfaces: NetworkInterfaces) -> None:
        """Work on these records."""
        self._context = context
        self._interfaces = interfaces

    async def assign_private_ips(self, caller: Caller, interface_id: str, request: AddressRequest) -> tuple[str, ...]:
        """Give an interface secondary IPv4 addresses and return them."""
        interface = self._interfaces.changeable(caller, interface_id)
        count = _count(request)
        self._check_room(interface, len(interface.private_ips) + count)
        if request.allow_reassignment:
            for address in request.addresses:
                await self._take_away(interface, address)
            interface = self._context.store.network_interfaces[interface.id]
        subnet = self._context.store.subnets[interface.subnet_id]
        addresses = PrivateAddresses(self._context.store)
        wanted = tuple(address for address in request.addresses if address not in interface.secondary_ips)
        assigned = (
            addresses.take(subnet, wanted) if request.addresses else addresses.take_free(subnet, request.count or 0)
        )
        await put_interface(self._context, replace(interface, secondary_ips=(*interface.secondary_ips, *assigned)))
        return assigned

    async def unassign_private_ips(self, caller: Caller, interface_id: str, addresses: Sequence[str]) -> None:
        """Take secondary IPv4 addresses from an interface, and the Elastic IPs that lead there with them."""
        interface = self._interfaces.changeable(caller, interface_id)
        if not addresses:
            raise missing_parameter("privateIpAddress")
        for address in addresses:
            if address == interface.private_ip:
                raise invalid_parameter(f"The primary private IP address ({address}) cannot be unassigned")
            if address not in interface.secondary_ips:
                raise _not_assigned(address, interface)
        await self._unassign(interface, addresses)

    async def assign_ipv6(self, caller: Caller, interface_id: str, request: AddressRequest) -> tuple[str, ...]:
        """Give an interface IPv6 addresses and return them."""
        interface = self._interfaces.changeable(caller, interface_id)
        self._check_room(interface, len(interface.ipv6_addresses) + _count(request))
        subnet = self._context.store.subnets[interface.subnet_id]
        addresses = PrivateAddresses(self._context.store)
        assigned = (
            addresses.take_ipv6(subnet, request.addresses)
            if request.addresses
            else addresses.take_free_ipv6(subnet, request.count or 0)
        )
        await put_interface(self._context, replace(interface, ipv6_addresses=(*interface.ipv6_addresses, *assigned)))
        return assigned

    async def unassign_ipv6(self, caller: Caller, interface_id: str, addresses: Sequence[str]) -> None:
        """Take IPv6 addresses from an interface."""
        interface = self._interfaces.changeable(caller, interface_id)
        if not addresses:
            raise missing_parameter("ipv6Addresses")
        for address in addresses:
            if address not in interface.ipv6_addresses:
                raise _not_assigned(address, interface)
        kept = tuple(address for address in interface.ipv6_addresses if address not in addresses)
        await put_interface(self._context, replace(interface, ipv6_addresses=kept))

    def _check_room(self, interface: NetworkInterface, count: int) -> None:
        most = address_count_limit(self._context, interface)
        if count > most:
            raise address_limit(most)

    async def _take_away(self, interface: NetworkInterface, address: str) -> None:
        """Take an address from the interface that has it as a secondary one."""
        holders = self._context.store.network_interfaces.by("address")[interface.vpc_id, address].values()
        for holder in list(holders):
            if holder.id != interface.id and address in holder.secondary_ips:
                await self._unassign(holder, [address])

    async def _unassign(self, interface: NetworkInterface, addresses: Sequence[str]) -> None:
        kept = tuple(address for address in interface.secondary_ips if address not in addresses)
        changed, freed = interface, []
        for association in interface.associations:
            if association.private_ip in addresses:
                changed = disassociated(changed, association.allocation_id)
                address = self._context.store.elastic_addresses[association.allocation_id]
                freed.append(replace(address, interface_id=None, association_id=None))
        await put_interface(self._context, replace(changed, secondary_ips=kept), *freed)


def _not_assigned(address: str, interface: NetworkInterface) -> Exception:
    return address_not_of(address, interface.id)


def _count(request: AddressRequest) -> int:
    if request.addresses and request.count:
        raise invalid_combination("Addresses can be given or counted, not both")
    if not request.addresses and not request.count:
        raise missing_parameter("secondaryPrivateIpAddressCount")
    return len(request.addresses) or request.count or 0
