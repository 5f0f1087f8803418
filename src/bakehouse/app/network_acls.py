"""Network ACLs, their entries, and which subnets use them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.segments import segment_change
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_parameter, malformed_id, not_found
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.network import Subnet
from bakehouse.domain.network_acl import (
    ENTRIES_MAX,
    NETWORK_ACLS_MAX,
    NetworkAcl,
    NetworkAclEntry,
    acl_in_use,
    default_acl_stays,
    entry_exists,
    entry_not_found,
    final_entries,
    too_many_acls,
    too_many_entries,
)
from bakehouse.domain.tags import check_tags


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAclDetails:
    """An ACL with what stands in other records."""

    acl: NetworkAcl
    entries: tuple[NetworkAclEntry, ...]
    """Its own, and the last ones, which deny the rest; in order, egress first."""
    subnets: tuple[Subnet, ...]
    """Those that use it."""


class NetworkAcls:
    """Use cases on network ACLs."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def describe(self, caller: Caller, acl_ids: Iterable[str] | None = None) -> list[NetworkAclDetails]:
        """Return the caller's ACLs, all or these."""
        acls = self._context.store.network_acls
        found = scope(acls, caller) if acl_ids is None else owned(acls, caller, "network-acl", acl_ids)
        return [self._details(acl) for acl in found]

    async def create(self, caller: Caller, vpc_id: str, tags: Mapping[str, str]) -> NetworkAclDetails:
        """Make an ACL that denies everything, and that nothing uses."""
        check_tags(tags)
        store = self._context.store
        (vpc,) = owned(store.vpcs, caller, "vpc", [vpc_id])
        if len(store.network_acls.by("vpc")[vpc.id]) >= NETWORK_ACLS_MAX:
            raise too_many_acls()
        acl = NetworkAcl(
            id=new_id("network-acl"),
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=vpc.id,
            is_default=False,
            tags=dict(tags),
        )
        async with store.transaction() as tx:
            tx.put(acl)
            tx.remember(caller, acl.id, self._context.now().timestamp())
        return self._details(acl)

    async def delete(self, caller: Caller, acl_id: str) -> None:
        """Delete an ACL that no subnet uses, and that is no default one."""
        acl = self._one(caller, acl_id)
        if acl.is_default:
            raise default_acl_stays(acl.id)
        if self._context.store.subnets.by("network_acl")[acl.id]:
            raise acl_in_use(acl.id)
        async with self._context.store.transaction() as tx:
            tx.delete(acl)

    async def create_entry(self, caller: Caller, acl_id: str, entry: NetworkAclEntry) -> None:
        """Add an entry. Refuses a number that the direction has: NetworkAclEntryAlreadyExists."""
        acl = self._one(caller, acl_id)
        if acl.entry(entry.number, is_egress=entry.is_egress) is not None:
            raise entry_exists(entry.number)
        if sum(it.is_egress is entry.is_egress for it in acl.entries) >= ENTRIES_MAX:
            raise too_many_entries()
        await self._write(replace(acl, entries=(*acl.entries, entry)))

    async def replace_entry(self, caller: Caller, acl_id: str, entry: NetworkAclEntry) -> None:
        """Put an entry in the place of the one with its number. Refuses where there is none."""
        acl = self._one(caller, acl_id)
        old = acl.entry(entry.number, is_egress=entry.is_egress)
        if old is None:
            raise entry_not_found(entry.number)
        await self._write(replace(acl, entries=tuple(entry if it is old else it for it in acl.entries)))

    async def delete_entry(self, caller: Caller, acl_id: str, number: int, *, is_egress: bool) -> None:
        """Remove an entry. Refuses where there is none."""
        acl = self._one(caller, acl_id)
        old = acl.entry(number, is_egress=is_egress)
        if old is None:
            raise entry_not_found(number)
        await self._write(replace(acl, entries=tuple(it for it in acl.entries if it is not old)))

    async def replace_association(self, caller: Caller, association_id: str, acl_id: str) -> str:
        """Let a subnet use another ACL and return the new association's id; the old one is gone."""
        subnet = self._associated(caller, association_id)
        acl = self._one(caller, acl_id)
        if acl.vpc_id != subnet.vpc_id:
            raise invalid_parameter(f"network ACL {acl.id} and subnet {subnet.id} belong to different networks")
        new_association_id = new_id("network-acl-association")
        async with segment_change(self._context, subnet.vpc_id) as tx:
            tx.put(replace(subnet, network_acl_id=acl.id, network_acl_association_id=new_association_id))
        return new_association_id

    def _associated(self, caller: Caller, association_id: str) -> Subnet:
        if not is_well_formed(association_id, "network-acl-association"):
            raise malformed_id("network-acl-association", association_id)
        for subnet in scope(self._context.store.subnets, caller):
            if subnet.network_acl_association_id == association_id:
                return subnet
        raise not_found("network-acl-association", [association_id])

    def _one(self, caller: Caller, acl_id: str) -> NetworkAcl:
        (acl,) = owned(self._context.store.network_acls, caller, "network-acl", [acl_id])
        return acl

    async def _write(self, acl: NetworkAcl) -> None:
        async with segment_change(self._context, acl.vpc_id) as tx:
            tx.put(acl)

    def _details(self, acl: NetworkAcl) -> NetworkAclDetails:
        store = self._context.store
        last = final_entries(ipv6=store.vpcs[acl.vpc_id].ipv6_cidr is not None)
        entries = sorted((*acl.entries, *last), key=lambda entry: (not entry.is_egress, entry.number))
        subnets = store.subnets.by("network_acl")[acl.id].values()
        return NetworkAclDetails(acl=acl, entries=tuple(entries), subnets=tuple(subnets))
