"""Filters: alternatives, wildcards and their escapes, tags."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.errors import Ec2Error
from bakehouse.ec2.filters import Filters

FILTERS: Filters[dict[str, str]] = Filters(
    {"name": lambda thing: [thing.get("name")], "letters": lambda thing: thing.get("name", "")},
    tags=lambda thing: thing,
)


def matches(thing: dict[str, str], *filters: tuple[str, list[str]]) -> bool:
    wanted: Any = [{"Name": name, "Values": values} for name, values in filters]
    return FILTERS.compile({"Filters": wanted})(thing)


TEXT = st.text(st.sampled_from("ab*?\\.[(\n"), max_size=6)


@given(TEXT)
def test_a_text_matches_itself_with_every_wildcard_escaped(text: str) -> None:
    escaped = "".join(f"\\{character}" if character in "*?\\" else character for character in text)

    assert matches({"name": text}, ("name", [escaped]))


@given(TEXT, TEXT)
def test_an_escaped_text_matches_nothing_else(text: str, other: str) -> None:
    escaped = "".join(f"\\{character}" for character in text)

    assert matches({"name": other}, ("name", [escaped])) == (text == other)


@given(TEXT, TEXT, TEXT)
def test_a_star_stands_for_any_text(before: str, between: str, after: str) -> None:
    plain = "".join(character for character in before if character not in "*?\\")
    end = "".join(character for character in after if character not in "*?\\")

    assert matches({"name": plain + between + end}, ("name", [f"{plain}*{end}"]))


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("web-?", "web-1", True),
        ("web-?", "web-", False),
        ("web-?", "web-12", False),
        ("*", "", True),
        ("?", "", False),
        ("a.c", "abc", False),
        ("WEB", "web", False),
        ("\\", "\\", True),
    ],
)
def test_patterns_are_ec2s_and_no_others(pattern: str, text: str, *, found: bool) -> None:
    assert matches({"name": text}, ("name", [pattern])) is found


def test_values_are_alternatives_and_filters_are_all_required() -> None:
    thing = {"name": "web", "stage": "prod"}

    assert matches(thing, ("name", ["db", "web"]))
    assert matches(thing, ("name", ["web"]), ("tag:stage", ["prod"]))
    assert not matches(thing, ("name", ["web"]), ("tag:stage", ["test"]))


def test_a_record_without_a_value_matches_no_pattern() -> None:
    assert not matches({}, ("name", ["*"]))
    assert not matches({}, ("tag:stage", ["*"]))


def test_tags_are_found_by_key_by_value_and_by_both() -> None:
    thing = {"stage": "prod"}

    assert matches(thing, ("tag-key", ["sta*"]))
    assert matches(thing, ("tag-value", ["prod"]))
    assert matches(thing, ("tag:stage", ["p*"]))
    assert not matches(thing, ("tag:stag*", ["prod"]))


def test_a_filter_without_values_matches_nothing() -> None:
    assert not matches({"name": "web"}, ("name", []))


@pytest.mark.parametrize("name", ["", "colour", "Name", "tag"])
def test_an_unknown_filter_is_refused(name: str) -> None:
    with pytest.raises(Ec2Error) as refusal:
        FILTERS.compile({"Filters": [{"Name": name, "Values": ["x"]}]})

    assert refusal.value.code == "InvalidParameterValue"


def test_more_than_200_values_are_refused() -> None:
    with pytest.raises(Ec2Error) as refusal:
        FILTERS.compile(
            {"Filters": [{"Name": "name", "Values": ["x"] * 100}] * 2 + [{"Name": "name", "Values": ["x"]}]}
        )

    assert refusal.value.code == "FilterLimitExceeded"


def by_definition(pattern: str, text: str) -> bool:
    """Match `*` and `?` as the definition says, without escapes."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(by_definition(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and by_definition(pattern[1:], text[1:])


@given(st.lists(st.text("ab*?", max_size=8), min_size=1, max_size=3), st.text("ab", max_size=8))
def test_wildcards_mean_what_their_definition_says(patterns: list[str], text: str) -> None:
    assert matches({"name": text}, ("name", patterns)) == any(by_definition(pattern, text) for pattern in patterns)


def test_many_stars_take_no_longer_than_few() -> None:
    """Tried in every way, this one would outlive the test's machine."""
    assert not matches({"name": "a" * 255}, ("name", ["*a" * 60 + "*b"]))
