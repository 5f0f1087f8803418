"""Retention rules of the Recycle Bin: what is kept after its deletion, and for how long.

A rule is of one resource type in one region of one account. A tag-level rule names tags, and keeps what has one of
them; a region-level rule names none, and keeps everything that has none of its exclusion tags. Of several rules that
keep a resource the longest retention counts. Source: EBS User Guide, "Considerations for Recycle Bin".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import ServiceError
from bakehouse.domain.tags import TAGS_PER_RESOURCE


class RetainedType(StrEnum):
    """What a rule keeps. Source: Recycle Bin API Reference, CreateRule, ResourceType."""

    IMAGE = "EC2_IMAGE"
    SNAPSHOT = "EBS_SNAPSHOT"
    VOLUME = "EBS_VOLUME"


#: Days that a rule may keep a resource. Source: Recycle Bin API Reference, RetentionPeriod.
RETENTION_DAYS: Final[Mapping[RetainedType, range]] = {
    RetainedType.IMAGE: range(1, 365 + 1),
    RetainedType.SNAPSHOT: range(1, 365 + 1),
    RetainedType.VOLUME: range(1, 7 + 1),
}
#: Days between UnlockRule and the moment when the rule can be changed. Source: Recycle Bin API Reference, UnlockDelay.
UNLOCK_DAYS: Final = range(7, 30 + 1)


class LockState(StrEnum):
    """Of a rule that was ever locked. Source: Recycle Bin API Reference, LockState."""

    LOCKED = "locked"
    PENDING_UNLOCK = "pending_unlock"
    UNLOCKED = "unlocked"


@dataclass(frozen=True, slots=True, order=True)
class ResourceTag:
    """A tag that a rule looks for. Without a value it looks for the empty one: rules name pairs of key and value."""

    key: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRule:
    """What is kept, and for how long."""

    id: str
    """11 letters and digits."""
    account_id: str
    region: str
    resource_type: RetainedType
    retention_days: int
    created_at: datetime
    description: str = ""
    resource_tags: tuple[ResourceTag, ...] = ()
    """None make it a region-level rule."""
    exclude_tags: tuple[ResourceTag, ...] = ()
    unlock_days: int | None = None
    """The delay of its lock; None when it was never locked."""
    unlocks_at: datetime | None = None
    """When it can be changed again; None while it is locked."""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def is_region_level(self) -> bool:
        """Whether it keeps whatever its exclusion tags do not exclude."""
        return not self.resource_tags

    def keeps(self, tags: Mapping[str, str]) -> bool:
        """Tell whether it keeps a resource of its type with these tags."""
        if self.is_region_level:
            return not _has_one(tags, self.exclude_tags)
        return _has_one(tags, self.resource_tags)

    def lock_state(self, now: datetime) -> LockState | None:
        """Return where its lock stands, or None when it was never locked."""
        if self.unlock_days is None:
            return None
        if self.unlocks_at is None:
            return LockState.LOCKED
        return LockState.PENDING_UNLOCK if now < self.unlocks_at else LockState.UNLOCKED

    def check_changeable(self, now: datetime) -> None:
        """Refuse to change or delete it while it is locked, and until its unlock delay is over: ConflictException."""
        state = self.lock_state(now)
        if state in (LockState.LOCKED, LockState.PENDING_UNLOCK):
            raise rule_conflict(f"The retention rule {self.id} is in the {state} state.")


def check_retention(resource_type: RetainedType, days: int) -> None:
    """Refuse a retention that this type cannot have: ValidationException."""
    allowed = RETENTION_DAYS[resource_type]
    if days not in allowed:
        raise rule_invalid(
            f"The retention period for {resource_type} must be between {allowed[0]} and {allowed[-1]} days, not {days}."
        )


def check_unlock_delay(days: int) -> None:
    """Refuse an unlock delay that no lock can have: ValidationException."""
    if days not in UNLOCK_DAYS:
        raise rule_invalid(f"The unlock delay must be between {UNLOCK_DAYS[0]} and {UNLOCK_DAYS[-1]} days, not {days}.")


def check_rule_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that a rule cannot have: ValidationException; too many of them: ServiceQuotaExceededException."""
    if len(tags) > TAGS_PER_RESOURCE:
        raise rule_quota_exceeded(f"A retention rule can have {TAGS_PER_RESOURCE} tags.")
    for key in tags:
        if key.lower().startswith("aws:"):
            raise rule_invalid("Tag keys starting with 'aws:' are reserved.")


def rule_invalid(message: str) -> ServiceError:
    """Source: Recycle Bin API Reference, ValidationException."""
    return ServiceError("ValidationException", message, "INVALID_PARAMETER_VALUE")


def page_token_invalid() -> ServiceError:
    """Source: Recycle Bin API Reference, ValidationException, Reason."""
    return ServiceError("ValidationException", "The page token is not valid.", "INVALID_PAGE_TOKEN")


def rule_not_found(rule_id: str) -> ServiceError:
    """Source: Recycle Bin API Reference, ResourceNotFoundException."""
    return ServiceError("ResourceNotFoundException", f"The retention rule {rule_id} does not exist.", "RULE_NOT_FOUND")


def rule_conflict(message: str) -> ServiceError:
    """Source: Recycle Bin API Reference, ConflictException."""
    return ServiceError("ConflictException", message, "INVALID_RULE_STATE")


def rule_quota_exceeded(message: str) -> ServiceError:
    """Source: Recycle Bin API Reference, ServiceQuotaExceededException."""
    return ServiceError("ServiceQuotaExceededException", message, "SERVICE_QUOTA_EXCEEDED")


def _has_one(tags: Mapping[str, str], wanted: Iterable[ResourceTag]) -> bool:
    return any(tags.get(tag.key) == tag.value for tag in wanted)
