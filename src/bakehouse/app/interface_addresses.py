"""Further private addresses of interfaces: assigned and taken back, while machines run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext
from bakehouse.app.launch_network import check_not_negative
from bakehouse.app.network_interfaces import (
    NetworkInterfaces,
    address_count_limit,
    put_interface,
    run_in_turn,
    stage_interface,
)
from bakehouse.app.private_addresses import PrivateAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, invalid_parameter, missing_parameter
from bakehouse.domain.network import Subnet, address_in_use, address_outside_subnet, is_assignable
from bakehouse.domain.network_interface import NetworkInterface, address_limit, address_not_of, disassociated
from bakehouse.store.store import Transaction


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
        """Give an interface secondary IPv4 addresses and return them.

        An address that another interface has is refused (InvalidIPAddress.InUse), or taken from there if that is
        allowed and it is a secondary one there.
        """
        interface = self._interfaces.changeable(caller, interface_id)
        self._check_room(interface, len(interface.private_ips) + _count(request))
        subnet = self._context.store.subnets[interface.subnet_id]
        wanted = tuple(dict.fromkeys(it for it in request.addresses if it not in interface.secondary_ips))
        holders = [self._holder(subnet, address, request) for address in wanted]
        async with self._context.store.transaction() as tx:
            taken = [
                self._stage_taking(tx, self._context.store.network_interfaces[holder.id], [address])
                for address, holder in zip(wanted, holders, strict=True)
                if holder is not None
            ]
            addresses = PrivateAddresses(self._context.store)
            if request.addresses:
                addresses.take(subnet, [it for it, holder in zip(wanted, holders, strict=True) if holder is None])
                assigned = wanted
            else:
                assigned = addresses.take_free(subnet, request.count or 0)
            changed = replace(interface, secondary_ips=(*interface.secondary_ips, *assigned))
            given = stage_interface(self._context, tx, changed)
        await run_in_turn(self._context, [*taken, given], of=interface.id)
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
        async with self._context.store.transaction() as tx:
            taken = self._stage_taking(tx, interface, addresses)
        await run_in_turn(self._context, [taken], of=interface.id)

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

    def _holder(self, subnet: Subnet, address: str, request: AddressRequest) -> NetworkInterface | None:
        """Return the interface that an address is to be taken from; None when it is free."""
        if not is_assignable(subnet.cidr, address):
            raise address_outside_subnet(address)
        holders = self._context.store.network_interfaces.by("address")[subnet.vpc_id, address]
        holder = next(iter(holders.values()), None)
        if holder is not None and not (request.allow_reassignment and address in holder.secondary_ips):
            raise address_in_use(address)
        return holder

    def _stage_taking(self, tx: Transaction, interface: NetworkInterface, addresses: Sequence[str]) -> str | None:
        """Take secondary addresses away, and return the saga by which the fabric follows."""
        kept = tuple(address for address in interface.secondary_ips if address not in addresses)
        changed = interface
        for association in interface.associations:
            if association.private_ip in addresses:
                changed = disassociated(changed, association.allocation_id)
                address = self._context.store.elastic_addresses[association.allocation_id]
                tx.put(replace(address, interface_id=None, association_id=None))
        return stage_interface(self._context, tx, replace(changed, secondary_ips=kept))


def _not_assigned(address: str, interface: NetworkInterface) -> Exception:
    return address_not_of(address, interface.id)


def _count(request: AddressRequest) -> int:
    check_not_negative(request.count or 0)
    if request.addresses and request.count:
        raise invalid_combination("Addresses can be given or counted, not both")
    if not request.addresses and not request.count:
        raise missing_parameter("secondaryPrivateIpAddressCount")
    return len(request.addresses) or request.count or 0
