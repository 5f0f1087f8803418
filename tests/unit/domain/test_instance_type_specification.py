"""Patterns of instance types."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.instance_type_specification import InstanceTypeSpecification, checked_specification

NAMES = st.from_regex(r"[a-z][a-z0-9-]{1,7}\.[a-z0-9-]{2,12}", fullmatch=True)
PATTERNS = st.from_regex(r"[a-z0-9.-]{0,8}(\*[a-z0-9.-]{1,4}){0,3}\*?", fullmatch=True).filter(bool)


@given(NAMES)
def test_without_patterns_everything_is_allowed(name: str) -> None:
    assert InstanceTypeSpecification().allows(name)


@given(NAMES)
def test_a_name_stands_for_itself_alone(name: str) -> None:
    assert InstanceTypeSpecification(supported=(name,)).allows(name)
    assert not InstanceTypeSpecification(supported=(name,)).allows(f"{name}x")
    assert not InstanceTypeSpecification(unsupported=(name,)).allows(name)


@given(PATTERNS, NAMES)
def test_an_asterisk_stands_for_any_characters(pattern: str, name: str) -> None:
    expected = re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), name) is not None

    assert InstanceTypeSpecification(supported=(pattern,)).allows(name) is expected
    assert InstanceTypeSpecification(unsupported=(pattern,)).allows(name) is not expected


@given(st.lists(PATTERNS, unique=True, min_size=1, max_size=5))
def test_patterns_are_kept_as_they_were_written(patterns: list[str]) -> None:
    made = checked_specification(patterns[1:], patterns[:1])

    assert (made.supported, made.unsupported) == (tuple(patterns[1:]), tuple(patterns[:1]))


@pytest.mark.parametrize("pattern", ["", "t3.**", "t 3", "t" * 25, "t3.?", "ä"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Ec2Error) as refusal:
        checked_specification([pattern], [])

    assert refusal.value.code == "InvalidParameterValue"
