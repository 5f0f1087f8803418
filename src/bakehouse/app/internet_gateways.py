"""Internet gateways: made, attached to a VPC, detached, deleted."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.ids import new_id
from bakehouse.domain.internet_gateway import (
    INTERNET_GATEWAYS_MAX,
    InternetGateway,
    addresses_mapped,
    gateway_attached,
    gateway_in_use,
    gateway_not_attached,
    too_many_gateways,
    vpc_has_gateway,
)
from bakehouse.domain.network import Vpc
from bakehouse.domain.tags import check_tags


class InternetGateways:
    """Use cases on internet gateways."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, gateway_ids: Iterable[str] | None = None) -> list[InternetGateway]:
        """Return the caller's gateways, all or these."""
        gateways = self._context.store.internet_gateways
        return (
            scope(gateways, caller) if gateway_ids is None else owned(gateways, caller, "internet-gateway", gateway_ids)
        )

    async def create(self, caller: Caller, tags: Mapping[str, str]) -> InternetGateway:
        """Make a gateway that is attached to no VPC."""
        check_tags(tags)
        if len(scope(self._context.store.internet_gateways, caller)) >= INTERNET_GATEWAYS_MAX:
            raise too_many_gateways()
        gateway = InternetGateway(
            id=new_id("internet-gateway"), account_id=caller.account_id, region=caller.region, tags=dict(tags)
        )
        async with self._context.store.transaction() as tx:
            tx.put(gateway)
        return gateway

    async def attach(self, caller: Caller, gateway_id: str, vpc_id: str) -> None:
        """Attach a free gateway to a VPC that has none."""
        gateway, vpc = self._both(caller, gateway_id, vpc_id)
        if gateway.vpc_id is not None:
            raise gateway_attached(gateway.id, gateway.vpc_id)
        if self._context.store.internet_gateways.by("vpc")[vpc.id]:
            raise vpc_has_gateway(vpc.id)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(gateway, vpc_id=vpc.id))

    async def detach(self, caller: Caller, gateway_id: str, vpc_id: str) -> None:
        """Detach a gateway from its VPC, in which nothing may have a public address; routes to it lead nowhere then."""
        gateway, vpc = self._both(caller, gateway_id, vpc_id)
        if gateway.vpc_id != vpc.id:
            raise gateway_not_attached(gateway.id, vpc.id)
        if any(it.public_ip for it in self._context.store.network_interfaces.by("vpc")[vpc.id].values()):
            raise addresses_mapped(vpc.id)
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(gateway, vpc_id=None))

    async def delete(self, caller: Caller, gateway_id: str) -> None:
        """Delete a gateway that is attached to nothing."""
        (gateway,) = self.describe(caller, [gateway_id])
        if gateway.vpc_id is not None:
            raise gateway_in_use(gateway.id)
        async with self._context.store.transaction() as tx:
            tx.delete(gateway)

    def _both(self, caller: Caller, gateway_id: str, vpc_id: str) -> tuple[InternetGateway, Vpc]:
        (gateway,) = self.describe(caller, [gateway_id])
        (vpc,) = owned(self._context.store.vpcs, caller, "vpc", [vpc_id])
        return gateway, vpc
