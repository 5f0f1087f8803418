"""What an owner may do to a registered image."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.test_allowed_images import IMAGE, NOW

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import ImageState
from bakehouse.domain.image_lifecycle import (
    TRANSITIONS,
    ImageEvent,
    check_deregistrable,
    cools_down,
    deprecated,
    disabled,
    enabled,
    protected,
    unprotected,
    with_public_deprecation,
)

CHANGE = {ImageEvent.DISABLE: disabled, ImageEvent.ENABLE: enabled}


@pytest.mark.parametrize("event", ImageEvent)
@pytest.mark.parametrize("state", ImageState)
def test_every_state_changes_as_the_table_says_or_refuses(state: ImageState, event: ImageEvent) -> None:
    image = replace(IMAGE, state=state)
    expected = TRANSITIONS.get((state, event))

    if expected is None:
        with pytest.raises(Ec2Error) as refusal:
            CHANGE[event](image)
        assert refusal.value.code == "InvalidAMIID.Unavailable"
    else:
        assert CHANGE[event](image).state is expected


@given(seconds=st.integers(0, 10**8), microseconds=st.integers(0, 999_999))
def test_a_deprecation_is_the_nearest_whole_minute(seconds: int, microseconds: int) -> None:
    at = NOW + timedelta(seconds=seconds, microseconds=microseconds)

    time = deprecated(IMAGE, at, NOW).deprecation_time

    assert time is not None
    assert (time.second, time.microsecond) == (0, 0)
    assert abs(time - at) <= timedelta(seconds=30)


def test_a_leap_day_has_no_birthday_in_other_years() -> None:
    born = datetime(2028, 2, 29, 12, tzinfo=UTC)

    public = with_public_deprecation(replace(IMAGE, created_at=born, launch_accounts=("all",)))

    assert public.deprecation_time == datetime(2030, 2, 28, 12, tzinfo=UTC)


def test_ten_years_from_now_are_allowed_and_a_second_more_is_not() -> None:
    latest = NOW.replace(year=NOW.year + 10)

    assert deprecated(IMAGE, latest, NOW).deprecation_time is not None
    with pytest.raises(Ec2Error):
        deprecated(IMAGE, latest + timedelta(seconds=1), NOW)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(None, "two years"), (365, "chosen"), (4000, "two years")],
)
def test_a_public_image_is_deprecated_at_the_latest_two_years_after_its_making(days: int | None, expected: str) -> None:
    chosen = None if days is None else IMAGE.created_at.replace(second=0) + timedelta(days=days)
    image = replace(IMAGE, launch_accounts=("all",), deprecation_time=chosen)

    time = with_public_deprecation(image).deprecation_time

    two_years = IMAGE.created_at.replace(year=IMAGE.created_at.year + 2, second=0)
    assert time == (chosen if expected == "chosen" else two_years)


@pytest.mark.parametrize("cooldown", [False, True])
def test_a_cooldown_lasts_a_day_to_the_second(*, cooldown: bool) -> None:
    image = unprotected(protected(IMAGE, cooldown=cooldown), NOW)
    day = timedelta(days=1)

    for passed, expected in [(timedelta(0), cooldown), (day - timedelta(seconds=1), cooldown), (day, False)]:
        assert cools_down(image, NOW + passed) is expected
        if not expected:
            check_deregistrable(image, NOW + passed)


def test_protection_that_begins_again_forgets_the_cooldown_before() -> None:
    image = unprotected(protected(IMAGE, cooldown=True), NOW)

    again = unprotected(protected(image, cooldown=False), NOW)

    check_deregistrable(again, NOW)
