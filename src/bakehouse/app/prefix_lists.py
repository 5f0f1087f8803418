"""Managed prefix lists: made, changed, restored, deleted; the rules that name one follow it into the firewall."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.following import network_follows
from bakehouse.app.security_groups import RULES_MAX, count_rules
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import invalid_combination, invalid_parameter, missing_parameter
from bakehouse.domain.ids import new_id
from bakehouse.domain.prefix_list import (
    ENTRIES_MAX,
    NAME_MAX,
    AddressFamily,
    PrefixEntry,
    PrefixList,
    check_entries,
    prefix_list_in_use,
    resize_failed,
    version_mismatch,
    version_not_found,
)
from bakehouse.domain.security_group import SecurityGroup, cidr_of
from bakehouse.domain.tags import check_tags
from bakehouse.sagas.security_group import APPLY_SECURITY_GROUP, SecurityGroupChange


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixListRequest:
    """What CreateManagedPrefixList asks for."""

    name: str
    family: AddressFamily
    max_entries: int
    entries: Sequence[PrefixEntry] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixListChange:
    """New values; what is None or empty stays."""

    current_version: int | None = None
    name: str | None = None
    max_entries: int | None = None
    added: Sequence[PrefixEntry] = ()
    removed: Sequence[str] = ()
    """Ranges."""


class PrefixLists:
    """Use cases on prefix lists."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, request: PrefixListRequest) -> PrefixList:
        """Make a list in its first version."""
        check_tags(request.tags)
        _check_name(request.name)
        _check_size(request.max_entries)
        entries = _canonical(request.entries, request.family)
        check_entries(entries, request.max_entries)
        prefix_list = PrefixList(
            id=new_id("prefix-list"),
            account_id=caller.account_id,
            region=caller.region,
            name=request.name,
            family=request.family,
            max_entries=request.max_entries,
            versions=(entries,),
            tags=dict(request.tags),
        )
        async with self._context.store.transaction() as tx:
            tx.put(prefix_list)
            tx.remember(caller, prefix_list.id, self._context.now().timestamp())
        return prefix_list

    def describe(self, caller: Caller, list_ids: Iterable[str] | None = None) -> list[PrefixList]:
        """Return the caller's lists, all or these."""
        lists = self._context.store.prefix_lists
        return scope(lists, caller) if list_ids is None else owned(lists, caller, "prefix-list", list_ids)

    def one(self, caller: Caller, list_id: str) -> PrefixList:
        """Return one of the caller's lists."""
        (prefix_list,) = owned(self._context.store.prefix_lists, caller, "prefix-list", [list_id])
        return prefix_list

    def entries(self, caller: Caller, list_id: str, version: int | None) -> tuple[PrefixEntry, ...]:
        """Return the entries of a version, the present one if none is given."""
        prefix_list = self.one(caller, list_id)
        return _entries_of(prefix_list, prefix_list.version if version is None else version)

    def users(self, prefix_list: PrefixList) -> list[SecurityGroup]:
        """Return the groups with a rule that names it."""
        return list(self._context.store.security_groups.by("prefix_list")[prefix_list.id].values())

    async def modify(self, caller: Caller, list_id: str, change: PrefixListChange) -> PrefixList:
        """Change a list; with other entries it has another version, which holds in the firewall when this returns.

        Refuses a version that is not the present one (PrefixListVersionMismatch), and entries and a size together. A
        size that is too large for a group that names the list is not refused: as on EC2, the list is then as it was,
        its state `modify-failed`.
        """
        prefix_list = self.one(caller, list_id)
        if change.current_version not in (None, prefix_list.version):
            raise version_mismatch(prefix_list.id, prefix_list.version)
        changed = replace(prefix_list, state="modify-complete", state_message="")
        if change.name is not None:
            _check_name(change.name)
            changed = replace(changed, name=change.name)
        if change.max_entries is not None:
            if change.added or change.removed:
                raise invalid_combination("You cannot modify the entries and the size of a prefix list together")
            _check_size(change.max_entries)
            check_entries(changed.entries, change.max_entries)
            changed = replace(changed, max_entries=change.max_entries)
            if full := self._full_with(changed):
                changed = resize_failed(prefix_list, full)
        if change.added or change.removed:
            if change.current_version is None:
                raise missing_parameter("CurrentVersion")
            changed = replace(changed, versions=(*changed.versions, _changed_entries(changed, change)))
        await self._put(changed)
        return changed

    async def restore(self, caller: Caller, list_id: str, previous: int, current: int) -> PrefixList:
        """Make an earlier version's entries those of a new version."""
        prefix_list = self.one(caller, list_id)
        if current != prefix_list.version:
            raise version_mismatch(prefix_list.id, prefix_list.version)
        entries = _entries_of(prefix_list, previous)
        check_entries(entries, prefix_list.max_entries)
        changed = replace(
            prefix_list, versions=(*prefix_list.versions, entries), state="restore-complete", state_message=""
        )
        await self._put(changed)
        return changed

    async def delete(self, caller: Caller, list_id: str) -> PrefixList:
        """Delete a list that no rule names: DependencyViolation."""
        prefix_list = self.one(caller, list_id)
        users = self.users(prefix_list)
        if users:
            raise prefix_list_in_use(prefix_list.id, [group.id for group in users])
        async with self._context.store.transaction() as tx:
            tx.delete(prefix_list)
        return prefix_list

    def _full_with(self, resized: PrefixList) -> list[str]:
        """Return the groups that cannot have the rules for which a list of another size counts."""
        store = self._context.store
        return [
            group.id
            for group in self.users(resized)
            if resized.max_entries > store.prefix_lists[resized.id].max_entries
            and any(count_rules(store, group, egress=it, resized=resized) > RULES_MAX for it in (False, True))
        ]

    async def _put(self, prefix_list: PrefixList) -> None:
        context = self._context
        async with context.store.transaction() as tx:
            tx.put(prefix_list)
            sagas = []
            for group in self.users(prefix_list):
                tx.put(replace(group))  # another object, so that whoever is just applying it does so again
                change = SecurityGroupChange(vpc_id=group.vpc_id, group_id=group.id)
                sagas.append(context.sagas.enlist(tx, APPLY_SECURITY_GROUP, change, subject_id=group.id))
        with network_follows(prefix_list.id):
            await asyncio.gather(*(context.sagas.run(saga_id) for saga_id in sagas))


def _check_name(name: str) -> None:
    """Source: EC2 API Reference, CreateManagedPrefixList, PrefixListName."""
    if not 1 <= len(name) <= NAME_MAX or name.startswith("com.amazonaws"):
        raise invalid_parameter(
            f"Invalid value '{name}' for PrefixListName: up to {NAME_MAX} characters, not beginning with com.amazonaws"
        )


def _check_size(max_entries: int) -> None:
    if not 1 <= max_entries <= ENTRIES_MAX:
        raise invalid_parameter(f"Invalid value '{max_entries}' for MaxEntries: between 1 and {ENTRIES_MAX}.")


def _canonical(entries: Iterable[PrefixEntry], family: AddressFamily) -> tuple[PrefixEntry, ...]:
    return tuple(replace(entry, cidr=cidr_of(entry.cidr, family.number)) for entry in entries)


def _entries_of(prefix_list: PrefixList, version: int) -> tuple[PrefixEntry, ...]:
    if not 1 <= version <= prefix_list.version:
        raise version_not_found(prefix_list.id, version)
    return prefix_list.versions[version - 1]


def _changed_entries(prefix_list: PrefixList, change: PrefixListChange) -> tuple[PrefixEntry, ...]:
    removed = {cidr_of(cidr, prefix_list.family.number) for cidr in change.removed}
    added = _canonical(change.added, prefix_list.family)
    if removed & {entry.cidr for entry in added}:
        raise invalid_combination("A CIDR cannot be both added and removed")
    missing = removed - {entry.cidr for entry in prefix_list.entries}
    if missing:
        raise invalid_parameter(f"The prefix list does not contain {', '.join(sorted(missing))}.")
    entries = (*(entry for entry in prefix_list.entries if entry.cidr not in removed), *added)
    check_entries(entries, prefix_list.max_entries)
    return entries
