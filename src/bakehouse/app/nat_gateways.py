"""NAT gateways: made with their interface, deleted; the routes to them follow at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.private_addresses import PrivateAddresses
from bakehouse.app.segments import segment_change
from bakehouse.domain import shown_afterwards
from bakehouse.domain.caller import Caller
from bakehouse.domain.elastic_address import (
    ElasticAddress,
    address_associated,
    already_associated,
    gateway_not_attached,
)
from bakehouse.domain.errors import invalid_combination, missing_parameter
from bakehouse.domain.ids import new_id
from bakehouse.domain.nat_gateway import NatGateway, NatGatewayState
from bakehouse.domain.network import Subnet
from bakehouse.domain.network_interface import (
    AddressAssociation,
    InterfaceType,
    NetworkInterface,
    associated,
    mac_of,
)
from bakehouse.domain.tags import check_tags
from bakehouse.sagas.machine import let_go
from bakehouse.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class NatGatewayRequest:
    """What CreateNatGateway asks for."""

    subnet_id: str
    is_public: bool = True
    allocation_id: str | None = None
    private_ip: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class NatGateways:
    """Use cases on NAT gateways."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, request: NatGatewayRequest) -> NatGateway:
        """Make a NAT gateway and return it; it is available.

        A public one needs an Elastic IP that leads nowhere (Resource.AlreadyAssociated; InvalidIPAddress.InUse while
        the machine that it led to still has it), and a VPC with an internet gateway (Gateway.NotAttached). A private
        one has none (InvalidParameterCombination).
        """
        check_tags(request.tags)
        store = self._context.store
        (subnet,) = owned(store.subnets, caller, "subnet", [request.subnet_id])
        address = self._address(caller, request, subnet)
        async with segment_change(self._context, subnet.vpc_id) as tx:
            gateway, interface = self._planned(caller, request, subnet)
            if address is not None:
                gateway, interface = _with_address(tx, gateway, interface, address)
            tx.put(interface)
            tx.put(gateway)
            tx.remember(caller, gateway.id, self._context.now().timestamp())
        return gateway

    def describe(self, caller: Caller, gateway_ids: Iterable[str] | None = None) -> list[NatGateway]:
        """Return the caller's NAT gateways, all or these; deleted ones for an hour."""
        gateways = self._context.store.nat_gateways
        return scope(gateways, caller) if gateway_ids is None else owned(gateways, caller, "natgateway", gateway_ids)

    async def delete(self, caller: Caller, gateway_id: str) -> None:
        """Delete a NAT gateway and its interface; its Elastic IP is free. Deleted already: nothing happens."""
        store = self._context.store
        (gateway,) = owned(store.nat_gateways, caller, "natgateway", [gateway_id])
        if gateway.state is NatGatewayState.DELETED:
            return
        async with segment_change(self._context, gateway.vpc_id) as tx:
            now = self._context.now().replace(microsecond=0)
            tx.put(replace(gateway, state=NatGatewayState.DELETED, deleted_at=now))
            let_go(tx, store, store.network_interfaces[gateway.network_interface_id], delete=True)

    async def forget_deleted(self, now: datetime | None = None) -> None:
        """Forget those that were deleted an hour ago."""
        oldest = (now or self._context.now()) - shown_afterwards.NAT_GATEWAY
        for gateway in list(self._context.store.nat_gateways):
            if gateway.deleted_at is not None and gateway.deleted_at < oldest:
                async with self._context.store.transaction() as tx:
                    tx.delete(gateway)

    def _address(self, caller: Caller, request: NatGatewayRequest, subnet: Subnet) -> ElasticAddress | None:
        store = self._context.store
        if not request.is_public:
            if request.allocation_id is not None:
                raise invalid_combination("A private NAT gateway cannot have an Elastic IP address")
            return None
        if request.allocation_id is None:
            raise missing_parameter("AllocationId")
        (address,) = owned(store.elastic_addresses, caller, "elastic-ip", [request.allocation_id])
        if address.interface_id is not None:
            raise already_associated(address.id, address.association_id)
        if store.sagas.by("holds")[address.public_ip]:
            raise address_associated(address.public_ip)
        if not store.internet_gateways.by("vpc")[subnet.vpc_id]:
            raise gateway_not_attached(subnet.vpc_id)
        return address

    def _planned(
        self, caller: Caller, request: NatGatewayRequest, subnet: Subnet
    ) -> tuple[NatGateway, NetworkInterface]:
        addresses = PrivateAddresses(self._context.store)
        given = (request.private_ip,) if request.private_ip else ()
        (private_ip,) = addresses.take(subnet, given) or addresses.take_free(subnet, 1)
        gateway = NatGateway(
            id=new_id("natgateway"),
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.id,
            is_public=request.is_public,
            state=NatGatewayState.AVAILABLE,
            created_at=self._context.now().replace(microsecond=0),
            network_interface_id=new_id("network-interface"),
            private_ip=private_ip,
            tags=dict(request.tags),
        )
        interface = NetworkInterface(
            id=gateway.network_interface_id,
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.id,
            availability_zone=subnet.availability_zone,
            mac=mac_of(subnet.vpc_id, private_ip),
            private_ip=private_ip,
            group_ids=(),
            type=InterfaceType.NAT_GATEWAY,
            description=f"Interface for NAT Gateway {gateway.id}",
            source_dest_check=False,
        )
        return gateway, interface


def _with_address(
    tx: Transaction, gateway: NatGateway, interface: NetworkInterface, address: ElasticAddress
) -> tuple[NatGateway, NetworkInterface]:
    """Let an Elastic IP lead to the gateway."""
    association = AddressAssociation(
        id=new_id("elastic-ip-association"),
        allocation_id=address.id,
        public_ip=address.public_ip,
        private_ip=interface.private_ip,
    )
    tx.put(replace(address, interface_id=interface.id, association_id=association.id))
    with_address = replace(
        gateway, allocation_id=address.id, association_id=association.id, public_ip=address.public_ip
    )
    return with_address, associated(interface, association)
