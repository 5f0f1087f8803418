"""Retention rules: what they keep, and how their locks go."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.retention_rule import (
    LockState,
    ResourceTag,
    RetainedType,
    RetentionRule,
    check_retention,
    check_unlock_delay,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STAGE = ResourceTag("stage", "prod")

REGION_LEVEL = RetentionRule(
    id="abcdefghij0",
    account_id="123456789012",
    region="us-east-1",
    resource_type=RetainedType.SNAPSHOT,
    retention_days=7,
    created_at=NOW,
)
TAG_LEVEL = replace(REGION_LEVEL, resource_tags=(STAGE, ResourceTag("team", "ops")))
EXCLUDING = replace(REGION_LEVEL, exclude_tags=(STAGE, ResourceTag("scratch")))
LOCKED = replace(REGION_LEVEL, unlock_days=7)
UNLOCKING = replace(LOCKED, unlocks_at=NOW + timedelta(days=7))


@pytest.mark.parametrize(
    ("rule", "tags", "kept"),
    [
        (REGION_LEVEL, {}, True),
        (REGION_LEVEL, {"stage": "prod"}, True),
        (TAG_LEVEL, {}, False),
        (TAG_LEVEL, {"stage": "prod"}, True),
        (TAG_LEVEL, {"team": "ops", "stage": "test"}, True),
        (TAG_LEVEL, {"stage": "test"}, False),
        (TAG_LEVEL, {"Stage": "prod"}, False),
        (EXCLUDING, {}, True),
        (EXCLUDING, {"stage": "prod", "team": "ops"}, False),
        (EXCLUDING, {"scratch": ""}, False),
        (EXCLUDING, {"scratch": "yes"}, True),
    ],
)
def test_a_rule_keeps_what_its_tags_say(rule: RetentionRule, tags: dict[str, str], *, kept: bool) -> None:
    assert rule.keeps(tags) is kept


@pytest.mark.parametrize(
    ("rule", "at", "state"),
    [
        (REGION_LEVEL, NOW, None),
        (LOCKED, NOW + timedelta(days=400), LockState.LOCKED),
        (UNLOCKING, NOW, LockState.PENDING_UNLOCK),
        (UNLOCKING, NOW + timedelta(days=7) - timedelta(seconds=1), LockState.PENDING_UNLOCK),
        (UNLOCKING, NOW + timedelta(days=7), LockState.UNLOCKED),
    ],
)
def test_a_lock_opens_when_its_delay_is_over(rule: RetentionRule, at: datetime, state: LockState | None) -> None:
    assert rule.lock_state(at) is state


@pytest.mark.parametrize("rule", [LOCKED, UNLOCKING])
def test_a_locked_rule_is_not_changed(rule: RetentionRule) -> None:
    with pytest.raises(Ec2Error) as refusal:
        rule.check_changeable(NOW)

    assert refusal.value.code == "ConflictException"


def test_an_unlocked_rule_is_changed() -> None:
    UNLOCKING.check_changeable(NOW + timedelta(days=7))


@pytest.mark.parametrize(
    ("resource_type", "days", "fine"),
    [
        (RetainedType.VOLUME, 1, True),
        (RetainedType.VOLUME, 7, True),
        (RetainedType.VOLUME, 8, False),
        (RetainedType.SNAPSHOT, 365, True),
        (RetainedType.SNAPSHOT, 366, False),
        (RetainedType.IMAGE, 365, True),
        (RetainedType.IMAGE, 0, False),
    ],
)
def test_a_retention_is_as_long_as_its_type_allows(resource_type: RetainedType, days: int, *, fine: bool) -> None:
    if fine:
        check_retention(resource_type, days)
        return
    with pytest.raises(Ec2Error) as refusal:
        check_retention(resource_type, days)
    assert refusal.value.code == "ValidationException"


@pytest.mark.parametrize("days", [6, 31])
def test_an_unlock_delay_is_7_to_30_days(days: int) -> None:
    check_unlock_delay(7)
    check_unlock_delay(30)

    with pytest.raises(Ec2Error) as refusal:
        check_unlock_delay(days)

    assert refusal.value.code == "ValidationException"
