"""Warnings of look-ups by name: each once, and never more remembered than there is room for."""

from collections.abc import Iterable

import pytest
import structlog.testing

from bakehouse.app import name_lookups
from bakehouse.app.name_lookups import NameLookups
from bakehouse.domain.caller import Caller

CALLER = Caller(account_id="111122223333", region="us-east-1")


def warned_of(lookups: NameLookups, patterns: Iterable[str], caller: Caller = CALLER) -> list[str]:
    with structlog.testing.capture_logs() as logs:
        lookups.warn(caller, patterns)
    return [entry["name"] for entry in logs]


def test_a_pattern_given_twice_at_once_is_warned_of_once() -> None:
    assert warned_of(NameLookups(), ["a*", "a*", "b*"]) == ["a*", "b*"]


def test_another_region_of_the_account_is_not_warned_again() -> None:
    lookups = NameLookups()
    warned_of(lookups, ["a*"])

    assert warned_of(lookups, ["a*"], Caller(account_id=CALLER.account_id, region="eu-west-1")) == []


def test_what_was_warned_of_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_lookups, "_REMEMBERED", 2)
    lookups = NameLookups()
    warned_of(lookups, ["a", "b", "c"])

    assert warned_of(lookups, ["c", "b"]) == []
    assert warned_of(lookups, ["a"]) == ["a"]
