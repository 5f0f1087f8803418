"""Elastic IPs: allocated, associated, taken back, released."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.network_interfaces import only_interface, run_in_turn, stage_interface
from bakehouse.app.public_addresses import PublicAddresses
from bakehouse.domain.caller import Caller
from bakehouse.domain.elastic_address import (
    ElasticAddress,
    address_associated,
    address_not_found,
    address_not_yours,
    already_associated,
    association_not_found,
    gateway_not_attached,
)
from bakehouse.domain.errors import Ec2Error, invalid_combination, malformed_id, missing_parameter
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.instance import InstanceState
from bakehouse.domain.network import public_addresses_used_up
from bakehouse.domain.network_interface import (
    AddressAssociation,
    InterfaceType,
    NetworkInterface,
    address_not_of,
    associated,
    disassociated,
    interface_managed,
)
from bakehouse.domain.tags import check_tags
from bakehouse.sagas.machine import interfaces_of
from bakehouse.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRequest:
    """What AssociateAddress asks for: an address, and an instance or an interface."""

    allocation_id: str | None = None
    public_ip: str | None = None
    instance_id: str | None = None
    interface_id: str | None = None
    private_ip: str | None = None
    allow_reassociation: bool = True


@dataclass(frozen=True, slots=True)
class AddressDetails:
    """An address, and the interface that it leads to."""

    address: ElasticAddress
    interface: NetworkInterface | None

    @property
    def private_ip(self) -> str | None:
        """Where it leads."""
        associations = () if self.interface is None else self.interface.associations
        return next((it.private_ip for it in associations if it.allocation_id == self.address.id), None)


class ElasticAddresses:
    """Use cases on Elastic IPs."""

    def __init__(self, context: AppContext, public_addresses: PublicAddresses) -> None:
        """Work on these records."""
        self._context = context
        self._public_addresses = public_addresses

    async def allocate(self, caller: Caller, tags: Mapping[str, str]) -> ElasticAddress:
        """Give the account an address of the pool: InsufficientAddressCapacity when there is none."""
        check_tags(tags)
        public_ip = self._public_addresses.next_free()
        if public_ip is None:
            raise public_addresses_used_up()
        address = ElasticAddress(
            id=new_id("elastic-ip"),
            account_id=caller.account_id,
            region=caller.region,
            public_ip=public_ip,
            tags=dict(tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(address)
        return address

    def describe(
        self, caller: Caller, allocation_ids: Iterable[str] | None = None, public_ips: Iterable[str] | None = None
    ) -> list[AddressDetails]:
        """Return the caller's addresses: all, or those with these ids and addresses."""
        addresses = self._context.store.elastic_addresses
        if allocation_ids is None and public_ips is None:
            found = scope(addresses, caller)
        else:
            found = owned(addresses, caller, "elastic-ip", allocation_ids or ())
            found += [self._of_public_ip(caller, public_ip) for public_ip in public_ips or ()]
        interfaces = self._context.store.network_interfaces
        return [
            AddressDetails(it, interfaces.get(it.interface_id or "")) for it in {it.id: it for it in found}.values()
        ]

    def one(self, caller: Caller, allocation_id: str | None, public_ip: str | None) -> ElasticAddress:
        """Return the address that a request names by one of both."""
        if allocation_id and public_ip:
            raise invalid_combination("You may specify public IP or allocation id, but not both in the same call")
        if allocation_id:
            (address,) = owned(self._context.store.elastic_addresses, caller, "elastic-ip", [allocation_id])
            return address
        if public_ip:
            return self._of_public_ip(caller, public_ip)
        raise missing_parameter("allocationId")

    async def associate(self, caller: Caller, request: AssociationRequest) -> str:
        """Let an address lead to an interface and return the association's id; it does when this returns.

        It replaces the interface's automatic public address, and an address that led there before. Refuses one that
        leads elsewhere unless that is allowed (Resource.AlreadyAssociated), and an interface of a VPC without an
        internet gateway (Gateway.NotAttached).
        """
        address = self.one(caller, request.allocation_id, request.public_ip)
        interface = self._wanted_interface(caller, request)
        private_ip = request.private_ip or interface.private_ip
        if private_ip not in interface.private_ips:
            raise address_not_of(private_ip, interface.id)
        if not self._context.store.internet_gateways.by("vpc")[interface.vpc_id]:
            raise gateway_not_attached(interface.vpc_id)
        there = interface.association_of(private_ip)
        if there is not None and there.allocation_id == address.id:
            return there.id
        if not request.allow_reassociation and address.interface_id is not None:
            raise already_associated(address.id, address.association_id)
        if not request.allow_reassociation and there is not None:
            raise already_associated(interface.id, there.id)
        association = AddressAssociation(
            id=new_id("elastic-ip-association"),
            allocation_id=address.id,
            public_ip=address.public_ip,
            private_ip=private_ip,
        )
        store = self._context.store
        async with store.transaction() as tx:
            taken = self._stage_taking(tx, address)
            if there is not None:
                replaced = store.elastic_addresses[there.allocation_id]
                tx.put(replace(replaced, interface_id=None, association_id=None))
            tx.put(replace(address, interface_id=interface.id, association_id=association.id))
            interface = store.network_interfaces[interface.id]  # which may be the one that it led to
            given = stage_interface(self._context, tx, associated(interface, association))
        await run_in_turn(self._context, [taken, given], of=address.id)
        return association.id

    async def disassociate(self, caller: Caller, association_id: str | None, public_ip: str | None) -> None:
        """Let an address lead nowhere; nothing happens when it already does.

        A running instance whose interface had an automatic public address has one again, another one.
        """
        if association_id and public_ip:
            raise invalid_combination("You may specify public IP or association id, but not both in the same call")
        if public_ip:
            address = self._of_public_ip(caller, public_ip)
        elif association_id:
            address = self._of_association(caller, association_id)
        else:
            raise missing_parameter("associationId")
        async with self._context.store.transaction() as tx:
            taken = self._stage_taking(tx, address)
        await run_in_turn(self._context, [taken], of=address.id)

    async def release(self, caller: Caller, allocation_id: str | None, public_ip: str | None) -> None:
        """Give an address back to the pool: InvalidIPAddress.InUse while it leads somewhere."""
        address = self.one(caller, allocation_id, public_ip)
        if address.interface_id is not None:
            raise address_associated(address.public_ip)
        async with self._context.store.transaction() as tx:
            tx.delete(address)

    def _of_public_ip(self, caller: Caller, public_ip: str) -> ElasticAddress:
        for address in self._context.store.elastic_addresses.by("public_ip")[public_ip].values():
            if (address.account_id, address.region) == (caller.account_id, caller.region):
                return address
            raise address_not_yours(public_ip)
        raise address_not_found(public_ip)

    def _of_association(self, caller: Caller, association_id: str) -> ElasticAddress:
        if not is_well_formed(association_id, "elastic-ip-association"):
            raise malformed_id("elastic-ip-association", association_id)
        for address in scope(self._context.store.elastic_addresses, caller):
            if address.association_id == association_id:
                return address
        raise association_not_found(association_id)

    def _wanted_interface(self, caller: Caller, request: AssociationRequest) -> NetworkInterface:
        store = self._context.store
        if request.interface_id is not None:
            (interface,) = owned(store.network_interfaces, caller, "network-interface", [request.interface_id])
            if request.instance_id not in (None, interface.instance_id):
                raise invalid_combination("You may specify an instance or a network interface, but not both")
        elif request.instance_id is not None:
            interface = self._interface_of(caller, request.instance_id)
        else:
            raise missing_parameter("InstanceId or NetworkInterfaceId")
        if interface.type is not InterfaceType.INTERFACE:
            raise interface_managed(interface.id)
        return interface

    def _interface_of(self, caller: Caller, instance_id: str) -> NetworkInterface:
        """Return the only interface of an instance. Source: EC2 API Reference, AssociateAddress, InstanceId."""
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.state not in (InstanceState.RUNNING, InstanceState.STOPPED, InstanceState.STOPPING):
            raise Ec2Error(
                "InvalidInstanceID",
                f"The {instance.state} instance '{instance.id}' is not in a valid state for this operation.",
            )
        return only_interface(self._context.store, instance)

    def _stage_taking(self, tx: Transaction, address: ElasticAddress) -> str | None:
        """Let an address lead nowhere, and return the saga by which the fabric follows.

        Source: EC2 User Guide, "Public IPv4 addresses", when a new one is assigned.
        """
        if address.interface_id is None:
            return None
        store = self._context.store
        before = store.network_interfaces[address.interface_id]
        if before.type is not InterfaceType.INTERFACE:
            raise interface_managed(before.id)
        interface = disassociated(before, address.id)
        if interface.public_ip is None and interface.wants_public_ip and self._gets_another(interface):
            interface = replace(interface, public_ip=self._public_addresses.next_free())
        tx.put(replace(address, interface_id=None, association_id=None))
        return stage_interface(self._context, tx, interface)

    def _gets_another(self, interface: NetworkInterface) -> bool:
        """Tell whether its instance runs and has no other interface."""
        store = self._context.store
        instance = store.instances.get(interface.instance_id or "")
        if instance is None or instance.state not in (InstanceState.PENDING, InstanceState.RUNNING):
            return False
        return len(interfaces_of(store, instance.id)) == 1
