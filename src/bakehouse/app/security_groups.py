"""Security groups: made, changed, deleted; a change is in the firewall before it is acknowledged."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.following import network_follows
from bakehouse.domain.caller import Caller
from bakehouse.domain.default_network import allow_all_egress
from bakehouse.domain.errors import dependency_violation, invalid_parameter, malformed_id, not_found
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.network import no_default_vpc
from bakehouse.domain.prefix_list import PrefixList
from bakehouse.domain.security_group import (
    Permission,
    SecurityGroup,
    SecurityGroupRule,
    default_group_stays,
    group_name_not_found,
    group_name_taken,
    group_reserved,
    rule_exists,
    rule_not_found,
    too_many_rules,
)
from bakehouse.domain.tags import check_tags
from bakehouse.sagas.security_group import APPLY_SECURITY_GROUP, SecurityGroupChange
from bakehouse.store.store import Store

#: Of a group, in each direction. Source: VPC User Guide, "Amazon VPC quotas".
RULES_MAX: Final = 60
_NAME_MAX: Final = 255
_NAME_CHARACTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._-:/()#,@[]+=&;{}!$*"
)


class SecurityGroups:
    """Use cases on security groups."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(
        self, caller: Caller, *, name: str, description: str, vpc_id: str | None, tags: Mapping[str, str]
    ) -> SecurityGroup:
        """Make a group that lets everything out and nothing in, in this VPC or the default one."""
        check_tags(tags)
        _check_text("GroupName", name)
        _check_text("GroupDescription", description)
        if name == "default":
            raise group_reserved(name)
        if name.startswith("sg-"):
            raise invalid_parameter("Invalid value for parameter GroupName: group names may not begin with 'sg-'.")
        store = self._context.store
        vpc = owned(store.vpcs, caller, "vpc", [vpc_id or self._default_vpc(caller)])[0]
        if any(group.name == name for group in store.security_groups.by("vpc")[vpc.id].values()):
            raise group_name_taken(name, vpc.id)
        group = SecurityGroup(
            id=new_id("security-group"),
            account_id=caller.account_id,
            region=caller.region,
            vpc_id=vpc.id,
            name=name,
            description=description,
            rules=allow_all_egress(ipv6=vpc.ipv6_cidr is not None),
            tags=dict(tags),
        )
        await self._apply(group)
        return group

    def describe(
        self, caller: Caller, group_ids: Iterable[str] | None = None, names: Iterable[str] | None = None
    ) -> list[SecurityGroup]:
        """Return the caller's groups: all, or those with these ids and names (names in the default VPC)."""
        groups = self._context.store.security_groups
        if group_ids is None and names is None:
            return scope(groups, caller)
        found = {group.id: group for group in owned(groups, caller, "security-group", group_ids or ())}
        for name in names or ():
            group = self.named(caller, name)
            found[group.id] = group
        return list(found.values())

    def named(self, caller: Caller, name: str, vpc_id: str | None = None) -> SecurityGroup:
        """Return the caller's group of this name in a VPC, the default one if none is given."""
        vpc_id = vpc_id or self._default_vpc(caller)
        for group in self._context.store.security_groups.by("vpc")[vpc_id].values():
            if group.name == name and group.account_id == caller.account_id:
                return group
        raise group_name_not_found(name, vpc_id)

    def rules(
        self, caller: Caller, rule_ids: Iterable[str] | None = None
    ) -> list[tuple[SecurityGroup, SecurityGroupRule]]:
        """Return the caller's rules, all or these, each with its group."""
        every = [(group, rule) for group in scope(self._context.store.security_groups, caller) for rule in group.rules]
        if rule_ids is None:
            return every
        by_id = {rule.id: (group, rule) for group, rule in every}
        wanted = list(rule_ids)
        for rule_id in wanted:
            if not is_well_formed(rule_id, "security-group-rule"):
                raise malformed_id("security-group-rule", rule_id)
        missing = [rule_id for rule_id in wanted if rule_id not in by_id]
        if missing:
            raise not_found("security-group-rule", missing)
        return [by_id[rule_id] for rule_id in wanted]

    async def authorize(
        self,
        group: SecurityGroup,
        permissions: Sequence[Permission],
        *,
        egress: bool,
        tags: Mapping[str, str],
    ) -> list[SecurityGroupRule]:
        """Add rules, all or none. Refuses one that is there: InvalidPermission.Duplicate."""
        check_tags(tags)
        present = {rule.permission for rule in group.rules if rule.is_egress is egress}
        added: list[SecurityGroupRule] = []
        for permission in permissions:
            check_rule_description(permission.description)
            if permission in present:
                raise rule_exists(permission.text())
            present.add(permission)
            self._check_reference(group, permission)
            added.append(
                SecurityGroupRule.of(permission, rule_id=new_id("security-group-rule"), is_egress=egress, tags=tags)
            )
        changed = replace(group, rules=group.rules + tuple(added))
        if count_rules(self._context.store, changed, egress=egress) > RULES_MAX:
            raise too_many_rules()
        await self._apply(changed)
        return added

    async def revoke(
        self,
        group: SecurityGroup,
        *,
        egress: bool,
        permissions: Sequence[Permission] = (),
        rule_ids: Sequence[str] = (),
    ) -> list[SecurityGroupRule]:
        """Remove rules by what they permit or by their ids, all or none. Refuses one that is not there."""
        rules = [rule for rule in group.rules if rule.is_egress is egress]
        by_permission = {rule.permission: rule for rule in rules}
        by_id = {rule.id: rule for rule in rules}
        removed: dict[str, SecurityGroupRule] = {}
        for permission in permissions:
            if permission not in by_permission:
                raise rule_not_found()
            removed[by_permission[permission].id] = by_permission[permission]
        for rule_id in rule_ids:
            if rule_id not in by_id:
                raise not_found("security-group-rule", [rule_id])
            removed[rule_id] = by_id[rule_id]
        await self._apply(replace(group, rules=tuple(rule for rule in group.rules if rule.id not in removed)))
        return list(removed.values())

    async def put_rules(self, group: SecurityGroup, rules: tuple[SecurityGroupRule, ...]) -> None:
        """Give a group these rules in place of its own.

        Refuses one that names a group of no use to it, and more than a group can have: as many more as a list that a
        rule comes to name may have entries.
        """
        store, changed = self._context.store, replace(group, rules=rules)
        for rule in rules:
            self._check_reference(group, rule.permission)
        for egress in (False, True):
            number = count_rules(store, changed, egress=egress)
            if number > RULES_MAX and number > count_rules(store, group, egress=egress):
                raise too_many_rules()
        await self._apply(changed)

    async def delete(self, group: SecurityGroup) -> None:
        """Delete a group that no interface carries and no other group names: DependencyViolation otherwise.

        One that was just taken from an interface counts until the machine's firewall has lost it, too.
        """
        if group.name == "default":
            raise default_group_stays(group.id)
        store = self._context.store
        carried = bool(store.network_interfaces.by("group")[group.id] or store.sagas.by("holds")[group.id])
        named = any(
            rule.referenced_group_id == group.id
            for other in store.security_groups.by("vpc")[group.vpc_id].values()
            if other.id != group.id
            for rule in other.rules
        )
        if carried or named:
            raise dependency_violation(f"resource {group.id} has a dependent object")
        await self._apply(group, deleted=True)

    def _check_reference(self, group: SecurityGroup, permission: Permission) -> None:
        if permission.referenced_group_id is None:
            return
        peer = self._context.store.security_groups.get(permission.referenced_group_id)
        if peer is None or peer.account_id != group.account_id or peer.vpc_id != group.vpc_id:
            raise not_found("security-group", [permission.referenced_group_id])

    def _default_vpc(self, caller: Caller) -> str:
        for vpc in scope(self._context.store.vpcs, caller):
            if vpc.is_default:
                return vpc.id
        raise no_default_vpc()

    async def _apply(self, group: SecurityGroup, *, deleted: bool = False) -> None:
        change = SecurityGroupChange(vpc_id=group.vpc_id, group_id=group.id)
        async with self._context.store.transaction() as tx:
            if deleted:
                tx.delete(group)
            else:
                tx.put(group)
            saga_id = self._context.sagas.enlist(tx, APPLY_SECURITY_GROUP, change, subject_id=group.id)
        with network_follows(group.id):
            await self._context.sagas.run(saga_id)


def count_rules(store: Store, group: SecurityGroup, *, egress: bool, resized: PrefixList | None = None) -> int:
    """Return for how many rules those of a direction count: one that names a prefix list, for all that it may have.

    `resized` is a list with another size than its record's. Source: VPC User Guide, "Prefix lists", references in
    resources.
    """
    sizes = {} if resized is None else {resized.id: resized.max_entries}
    lists = [rule.prefix_list_id for rule in group.rules if rule.is_egress is egress]
    return sum(1 if it is None else sizes.get(it) or store.prefix_lists[it].max_entries for it in lists)


def _check_text(member: str, text: str) -> None:
    """Source: EC2 API Reference, CreateSecurityGroup: up to 255 characters of a fixed set."""
    if not text or len(text) > _NAME_MAX or not _NAME_CHARACTERS.issuperset(text):
        raise invalid_parameter(
            f"Invalid value for parameter {member}: up to {_NAME_MAX} characters of a-z, A-Z, 0-9, spaces and "
            "._-:/()#,@[]+=&;{}!$*"
        )


def check_rule_description(text: str | None) -> None:
    """Refuse what no rule may be described by.

    Source: EC2 API Reference, IpRange, Description; wording as AWS answers it.
    """
    if text is not None and (len(text) > _NAME_MAX or not _NAME_CHARACTERS.issuperset(text)):
        raise invalid_parameter(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: "
            "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
        )
