"""Retention rules of the Recycle Bin: made, listed, changed, locked, tagged, deleted."""

import re
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.retention_rule import (
    LockState,
    ResourceTag,
    RetainedType,
    RetentionRule,
    check_retention,
    check_rule_tags,
    check_unlock_delay,
    rule_conflict,
    rule_invalid,
    rule_not_found,
    rule_quota_exceeded,
)

#: Source: EBS User Guide, Recycle Bin, "Quotas".
RULES_PER_REGION: Final = 250
#: Source: Recycle Bin API Reference, CreateRule, ResourceTags.
RULES_PER_TAG: Final = 5

_ID_LENGTH: Final = 11
_ID_CHARACTERS: Final = string.ascii_letters + string.digits
_ARN: Final = re.compile(r"arn:aws:rbin:([a-z0-9-]+):([0-9]{12}):rule/([0-9a-zA-Z]{11})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRequest:
    """What CreateRule asks for."""

    resource_type: RetainedType
    retention_days: int
    description: str = ""
    resource_tags: tuple[ResourceTag, ...] = ()
    exclude_tags: tuple[ResourceTag, ...] = ()
    unlock_days: int | None = None
    """Locks the rule from the beginning."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """What UpdateRule changes; None leaves a member as it is."""

    resource_type: RetainedType | None = None
    retention_days: int | None = None
    description: str | None = None
    resource_tags: tuple[ResourceTag, ...] | None = None
    exclude_tags: tuple[ResourceTag, ...] | None = None


class RetentionRules:
    """Use cases on retention rules. A rule of another account or region does not exist."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, request: RuleRequest) -> RetentionRule:
        """Make a rule, which counts from now on.

        Refuses a retention that the type cannot have, both kinds of tags at once, and to lock what cannot be locked
        (ValidationException); more rules, or more with one tag, than an account may have
        (ServiceQuotaExceededException).
        """
        check_retention(request.resource_type, request.retention_days)
        check_rule_tags(request.tags)
        rule = RetentionRule(
            id="".join(secrets.choice(_ID_CHARACTERS) for _ in range(_ID_LENGTH)),
            account_id=caller.account_id,
            region=caller.region,
            resource_type=request.resource_type,
            retention_days=request.retention_days,
            created_at=self._context.now(),
            description=request.description,
            resource_tags=_distinct(request.resource_tags),
            exclude_tags=_distinct(request.exclude_tags),
            unlock_days=request.unlock_days,
            tags=dict(request.tags),
        )
        _check_tags_exclude_each_other(rule)
        if request.unlock_days is not None:
            check_unlock_delay(request.unlock_days)
            _check_lockable(rule)
        if len(self._all(caller)) >= RULES_PER_REGION:
            raise rule_quota_exceeded(f"An account can have {RULES_PER_REGION} retention rules in a Region.")
        self._check_tag_quota(caller, rule)
        async with self._context.store.transaction() as tx:
            tx.put(rule)
        return rule

    def get(self, caller: Caller, rule_id: str) -> RetentionRule:
        """Return a rule of the caller's: ResourceNotFoundException if there is none."""
        rule = self._context.store.retention_rules.get(rule_id)
        if rule is None or (rule.account_id, rule.region) != (caller.account_id, caller.region):
            raise rule_not_found(rule_id)
        return rule

    def by_arn(self, caller: Caller, arn: str) -> RetentionRule:
        """Return a rule of the caller's by its ARN: ResourceNotFoundException if it names none."""
        form = _ARN.fullmatch(arn)
        if form is None or (form[1], form[2]) != (caller.region, caller.account_id):
            raise rule_not_found(arn)
        return self.get(caller, form[3])

    def lock_state(self, rule: RetentionRule) -> LockState | None:
        """Return where the lock of a rule stands now."""
        return rule.lock_state(self._context.now())

    def describe(
        self,
        caller: Caller,
        resource_type: RetainedType,
        *,
        resource_tags: Iterable[ResourceTag] = (),
        exclude_tags: Iterable[ResourceTag] = (),
        lock_state: LockState | None = None,
    ) -> list[RetentionRule]:
        """Return the caller's rules of a type, oldest first, that name all of these tags and are in this lock state."""
        named, excluded = set(resource_tags), set(exclude_tags)
        return [
            rule
            for rule in self._of_type(caller, resource_type)
            if named.issubset(rule.resource_tags)
            and excluded.issubset(rule.exclude_tags)
            and (lock_state is None or self.lock_state(rule) is lock_state)
        ]

    async def update(self, caller: Caller, rule_id: str, change: RuleChange) -> RetentionRule:
        """Change a rule; what is in the bin already stays as long as it would have stayed.

        Refuses while it is locked (ConflictException), to change its type or its level (ValidationException), and as
        `create`.
        """
        rule = self._changeable(caller, rule_id)
        if change.resource_type not in (None, rule.resource_type):
            raise rule_invalid("The resource type of a retention rule can't be changed.")
        changed = replace(
            rule,
            retention_days=rule.retention_days if change.retention_days is None else change.retention_days,
            description=rule.description if change.description is None else change.description,
            resource_tags=rule.resource_tags if change.resource_tags is None else _distinct(change.resource_tags),
            exclude_tags=rule.exclude_tags if change.exclude_tags is None else _distinct(change.exclude_tags),
        )
        check_retention(changed.resource_type, changed.retention_days)
        if changed.is_region_level is not rule.is_region_level:
            raise rule_invalid("A tag-level retention rule can't become a Region-level one, nor the other way round.")
        _check_tags_exclude_each_other(changed)
        self._check_tag_quota(caller, changed)
        async with self._context.store.transaction() as tx:
            tx.put(changed)
        return changed

    async def delete(self, caller: Caller, rule_id: str) -> None:
        """Delete a rule; what is in the bin stays there. Refuses while it is locked: ConflictException."""
        rule = self._changeable(caller, rule_id)
        async with self._context.store.transaction() as tx:
            tx.delete(rule)

    async def lock(self, caller: Caller, rule_id: str, unlock_days: int) -> RetentionRule:
        """Lock a rule, also again while its unlock delay runs, which then begins anew at the next unlocking.

        Refuses what cannot be locked, and another delay before the first is over (ValidationException); what is locked
        already (ConflictException). Source: EBS User Guide, "Lock a Recycle Bin retention rule".
        """
        rule = self.get(caller, rule_id)
        check_unlock_delay(unlock_days)
        _check_lockable(rule)
        state = self.lock_state(rule)
        if state is LockState.LOCKED:
            raise rule_conflict(f"The retention rule {rule_id} is locked already.")
        if state is LockState.PENDING_UNLOCK and unlock_days != rule.unlock_days:
            raise rule_invalid("The unlock delay can't be changed while it runs.")
        locked = replace(rule, unlock_days=unlock_days, unlocks_at=None)
        async with self._context.store.transaction() as tx:
            tx.put(locked)
        return locked

    async def unlock(self, caller: Caller, rule_id: str) -> RetentionRule:
        """Begin the unlock delay of a locked rule: ConflictException if it is not locked."""
        rule = self.get(caller, rule_id)
        if rule.unlock_days is None or self.lock_state(rule) is not LockState.LOCKED:
            raise rule_conflict(f"The retention rule {rule_id} is not locked.")
        unlocking = replace(rule, unlocks_at=self._context.now() + timedelta(days=rule.unlock_days))
        async with self._context.store.transaction() as tx:
            tx.put(unlocking)
        return unlocking

    async def tag(self, caller: Caller, arn: str, tags: Mapping[str, str]) -> None:
        """Write tags on a rule; those are the rule's own, not what it looks for."""
        rule = self.by_arn(caller, arn)
        merged = {**rule.tags, **tags}
        check_rule_tags(tags)
        check_rule_tags(merged)
        async with self._context.store.transaction() as tx:
            tx.put(replace(rule, tags=merged))

    async def untag(self, caller: Caller, arn: str, keys: Iterable[str]) -> None:
        """Remove tags from a rule; a key that it has not changes nothing."""
        rule = self.by_arn(caller, arn)
        gone = set(keys)
        async with self._context.store.transaction() as tx:
            tx.put(replace(rule, tags={key: value for key, value in rule.tags.items() if key not in gone}))

    def _of_type(self, caller: Caller, resource_type: RetainedType) -> Iterable[RetentionRule]:
        rules = self._context.store.retention_rules.by("kind")
        return rules[caller.account_id, caller.region, resource_type].values()

    def _all(self, caller: Caller) -> list[RetentionRule]:
        return [rule for resource_type in RetainedType for rule in self._of_type(caller, resource_type)]

    def _changeable(self, caller: Caller, rule_id: str) -> RetentionRule:
        rule = self.get(caller, rule_id)
        rule.check_changeable(self._context.now())
        return rule

    def _check_tag_quota(self, caller: Caller, rule: RetentionRule) -> None:
        others = [other for other in self._all(caller) if other.id != rule.id]
        for tag in rule.resource_tags:
            if sum(tag in other.resource_tags for other in others) >= RULES_PER_TAG:
                raise rule_quota_exceeded(
                    f"The tag {tag.key}={tag.value} is in {RULES_PER_TAG} retention rules already."
                )


def rule_arn(rule: RetentionRule) -> str:
    """Return a rule's Amazon Resource Name."""
    return f"arn:aws:rbin:{rule.region}:{rule.account_id}:rule/{rule.id}"


def _distinct(tags: Iterable[ResourceTag]) -> tuple[ResourceTag, ...]:
    return tuple(dict.fromkeys(tags))


def _check_tags_exclude_each_other(rule: RetentionRule) -> None:
    if rule.resource_tags and rule.exclude_tags:
        raise rule_invalid("Exclusion tags can't be specified for a tag-level retention rule.")


def _check_lockable(rule: RetentionRule) -> None:
    """Source: Recycle Bin API Reference, LockRule."""
    if not rule.is_region_level or rule.exclude_tags:
        raise rule_invalid("Only a Region-level retention rule without exclusion tags can be locked.")
