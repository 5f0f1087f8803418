"""Egress-only internet gateways: IPv6 goes out by them, and nobody comes in."""

from collections.abc import Iterable, Mapping

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.ids import new_id
from bakehouse.domain.internet_gateway import EgressOnlyInternetGateway, too_many_gateways
from bakehouse.domain.tags import check_tags

#: Source: VPC User Guide, "Amazon VPC quotas": egress-only internet gateways of a VPC.
_PER_VPC = 5


class EgressOnlyGateways:
    """Use cases on egress-only internet gateways."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, gateway_ids: Iterable[str] | None = None) -> list[EgressOnlyInternetGateway]:
        """Return the caller's gateways, all or these."""
        gateways = self._context.store.egress_only_internet_gateways
        if gateway_ids is None:
            return scope(gateways, caller)
        return owned(gateways, caller, "egress-only-internet-gateway", gateway_ids)

    async def create(self, caller: Caller, vpc_id: str, tags: Mapping[str, str]) -> EgressOnlyInternetGateway:
        """Make a gateway of a VPC, attached from the beginning."""
        check_tags(tags)
        store = self._context.store
        (vpc,) = owned(store.vpcs, caller, "vpc", [vpc_id])
        if len(store.egress_only_internet_gateways.by("vpc")[vpc.id]) >= _PER_VPC:
            raise too_many_gateways()
        gateway = EgressOnlyInternetGateway(
            id=new_id("egress-only-internet-gateway"),
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=vpc.id,
            tags=dict(tags),
        )
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(gateway)
            tx.remember(caller, gateway.id, self._context.now().timestamp())
        return gateway

    async def delete(self, caller: Caller, gateway_id: str) -> None:
        """Delete a gateway; routes to it lead nowhere then."""
        (gateway,) = self.describe(caller, [gateway_id])
        async with segment_change(self._context, gateway.vpc_id) as tx:
            tx.delete(gateway)
