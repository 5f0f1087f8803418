"""Rules that a security group has already: what they permit, and what is said of them, changed in place."""

from collections.abc import Mapping
from dataclasses import replace

from bakehouse.app.security_groups import SecurityGroups, check_rule_description
from bakehouse.domain.errors import not_found
from bakehouse.domain.security_group import Permission, SecurityGroup, SecurityGroupRule, rule_exists, rule_not_found


class SecurityGroupRules:
    """Use cases on single rules. A change is in the firewall before it is acknowledged."""

    def __init__(self, groups: SecurityGroups) -> None:
        """Change rules of these groups."""
        self._groups = groups

    async def modify(self, group: SecurityGroup, changes: Mapping[str, Permission]) -> None:
        """Let rules, by id, permit something else and be described otherwise, all or none. Ids and tags stay.

        Refuses a rule that the group has not (InvalidSecurityGroupRuleId.NotFound), and one that would permit what
        another does (InvalidPermission.Duplicate).
        """
        rules = {rule.id: rule for rule in group.rules}
        for rule_id, permission in changes.items():
            if rule_id not in rules:
                raise not_found("security-group-rule", [rule_id])
            check_rule_description(permission.description)
            before = rules[rule_id]
            rules[rule_id] = SecurityGroupRule.of(
                permission, rule_id=rule_id, is_egress=before.is_egress, tags=before.tags
            )
        _check_different(rules)
        await self._groups.put_rules(group, tuple(rules.values()))

    async def describe_permitted(self, group: SecurityGroup, permissions: list[Permission], *, egress: bool) -> None:
        """Describe rules that are named by what they permit, as the permission says; one without says nothing any more.

        Refuses what no rule of the direction permits: InvalidPermission.NotFound.
        """
        by_permission = {rule.permission: rule.id for rule in group.rules if rule.is_egress is egress}
        if any(permission not in by_permission for permission in permissions):
            raise rule_not_found()
        said = {by_permission[permission]: permission.description for permission in permissions}
        await self.describe(group, said, egress=egress)

    async def describe(self, group: SecurityGroup, said: Mapping[str, str | None], *, egress: bool) -> None:
        """Describe rules by their ids. Refuses one that the group has not in this direction."""
        known = {rule.id for rule in group.rules if rule.is_egress is egress}
        for rule_id, text in said.items():
            if rule_id not in known:
                raise not_found("security-group-rule", [rule_id])
            check_rule_description(text)
        rules = tuple(replace(rule, description=said[rule.id]) if rule.id in said else rule for rule in group.rules)
        await self._groups.put_rules(group, rules)


def _check_different(rules: Mapping[str, SecurityGroupRule]) -> None:
    seen: set[tuple[bool, Permission]] = set()
    for rule in rules.values():
        if (rule.is_egress, rule.permission) in seen:
            raise rule_exists(rule.permission.text())
        seen.add((rule.is_egress, rule.permission))
