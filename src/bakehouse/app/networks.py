"""The default network of an account's region: made at its first use, and again when its owner asks for it."""

from bakehouse.app.context import AppContext, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.account_settings import account_settings_id
from bakehouse.domain.caller import Caller
from bakehouse.domain.cidr import free_range
from bakehouse.domain.default_network import DEFAULT_SUBNET_PREFIX, default_network, default_subnet
from bakehouse.domain.dhcp_options import DhcpOptions
from bakehouse.domain.network import Subnet, Vpc
from bakehouse.domain.vpc import (
    default_subnet_exists,
    default_vpc_exists,
    default_vpc_missing,
    no_room_for_default_subnet,
    subnet_zone,
)


class Networks:
    """Use cases on default networks."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def ensure_default(self, caller: Caller) -> None:
        """Make the region's default network when the account has never used the region."""
        store = self._context.store
        if store.vpcs.by("scope")[caller.account_id, caller.region]:
            return
        settings = store.account_settings.get(account_settings_id(caller.account_id, caller.region))
        if settings is None or not settings.has_no_default_vpc:
            await self._make(caller)

    async def create_default_vpc(self, caller: Caller) -> Vpc:
        """Make the region's default network after it was deleted. Refuses a second one: DefaultVpcAlreadyExists."""
        vpc = self.default_vpc(caller)
        if vpc is not None:
            raise default_vpc_exists(vpc.id)
        return await self._make(caller)

    async def create_default_subnet(self, caller: Caller, zone: str) -> Subnet:
        """Make the default VPC's subnet in a zone after it was deleted."""
        vpc = self.default_vpc(caller)
        if vpc is None:
            raise default_vpc_missing()
        store, zone = self._context.store, subnet_zone(caller.region, zone)
        if store.subnets.by("default")[caller.account_id, caller.region, zone]:
            raise default_subnet_exists(zone)
        taken = [subnet.cidr for subnet in store.subnets.by("vpc")[vpc.id].values()]
        cidr = free_range(vpc.cidr, taken, DEFAULT_SUBNET_PREFIX)
        if cidr is None:
            raise no_room_for_default_subnet(vpc.id)
        subnet = default_subnet(vpc, zone, cidr)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(subnet)
        return subnet

    def default_vpc(self, caller: Caller) -> Vpc | None:
        """Return the region's default VPC, or None."""
        return next(iter(self._context.store.vpcs.by("default")[caller.account_id, caller.region].values()), None)

    def default_options(self, caller: Caller) -> DhcpOptions | None:
        """Return the region's default DHCP options set, or None when it was deleted."""
        return next((it for it in scope(self._context.store.dhcp_options, caller) if it.is_default), None)

    async def _make(self, caller: Caller) -> Vpc:
        vpc, parts = default_network(caller.account_id, caller.region, self.default_options(caller))
        async with self._context.store.transaction() as tx:
            for record in (vpc, *parts):
                tx.put(record)
        return vpc
