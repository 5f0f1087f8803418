"""DHCP options sets: made, deleted, given to VPCs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.dhcp_options import NO_OPTIONS, DhcpOptions, checked_options, options_in_use
from bakehouse.domain.ids import new_id
from bakehouse.domain.tags import check_tags


class DhcpOptionsSets:
    """Use cases on DHCP options sets."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, set_ids: Iterable[str] | None = None) -> list[DhcpOptions]:
        """Return the caller's sets, all or these."""
        sets = self._context.store.dhcp_options
        return scope(sets, caller) if set_ids is None else owned(sets, caller, "dhcp-options", set_ids)

    async def create(
        self, caller: Caller, options: Mapping[str, Sequence[str]], tags: Mapping[str, str]
    ) -> DhcpOptions:
        """Make a set, which no VPC uses yet."""
        check_tags(tags)
        made = DhcpOptions(
            id=new_id("dhcp-options"),
            account_id=caller.account_id,
            region=caller.region,
            options=checked_options(options),
            tags=dict(tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(made)
        return made

    async def delete(self, caller: Caller, set_id: str) -> None:
        """Delete a set that no VPC uses."""
        (options,) = self.describe(caller, [set_id])
        if self._context.store.vpcs.by("dhcp_options")[options.id]:
            raise options_in_use(options.id)
        async with self._context.store.transaction() as tx:
            tx.delete(options)

    async def associate(self, caller: Caller, set_id: str, vpc_id: str) -> None:
        """Give a VPC a set, or none with the id `default`; machines learn of it when they renew their leases."""
        (vpc,) = owned(self._context.store.vpcs, caller, "vpc", [vpc_id])
        if set_id != NO_OPTIONS:
            self.describe(caller, [set_id])
        async with segment_change(self._context, vpc.id) as tx:
            tx.put(replace(vpc, dhcp_options_id=set_id))
