"""Criteria that say which images of others an account allows itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.allowed_images import (
    AllowedImages,
    ImageCriterion,
    WatermarkCriterion,
    check_criteria,
)
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import Image, ImageState
from bakehouse.domain.image_watermark import ImageWatermark

NOW = datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC)
OWNER, CALLER = "111111111111", "222222222222"
IMAGE = Image(
    id="ami-1",
    account_id=OWNER,
    region="us-east-1",
    name="golden-1",
    description="",
    state=ImageState.AVAILABLE,
    architecture="x86_64",
    root_device_name="/dev/xvda",
    block_devices=(),
    created_at=NOW - timedelta(days=10),
)


def is_allowed(criterion: ImageCriterion, image: Image = IMAGE, now: datetime = NOW) -> bool:
    return AllowedImages(criteria=(criterion,)).allows(image, CALLER, now)


@pytest.mark.parametrize(("days", "allowed"), [(9, False), (10, True), (11, True), (2**31 - 1, True)])
def test_an_image_may_be_as_old_as_the_criterion_says(days: int, *, allowed: bool) -> None:
    assert is_allowed(ImageCriterion(days_since_created=days)) is allowed


@pytest.mark.parametrize(
    ("since", "days", "allowed"),
    [
        (None, 0, True),
        (timedelta(days=-1), 0, True),  # still to come
        (timedelta(0), 0, False),
        (timedelta(0), 1, True),
        (timedelta(days=1), 1, True),
        (timedelta(days=1, seconds=1), 1, False),
    ],
)
def test_a_deprecated_image_is_allowed_for_so_many_days(since: timedelta | None, days: int, *, allowed: bool) -> None:
    image = replace(IMAGE, deprecation_time=None if since is None else NOW - since)

    assert is_allowed(ImageCriterion(days_since_deprecated=days), image) is allowed


def test_one_watermark_must_meet_one_filter_as_a_whole() -> None:
    marks = tuple(
        ImageWatermark(
            key=f"{OWNER}:{name}",
            source_image_id="ami-1",
            source_image_region=region,
            source_image_created_at=NOW,
            created_at=NOW,
        )
        for name, region in [("a", "us-east-1"), ("b", "eu-west-1")]
    )
    image = replace(IMAGE, watermarks=marks)

    assert is_allowed(
        ImageCriterion(watermarks=(WatermarkCriterion(key="*:a", source_region="us-*"),)),
        image,
    )
    assert not is_allowed(
        ImageCriterion(watermarks=(WatermarkCriterion(key="*:a", source_region="eu-*"),)),
        image,
    )


@given(
    name=st.text("ab[]*?.^$\\", min_size=1, max_size=6),
    pattern=st.text("ab[].^$\\", min_size=1, max_size=6),
)
def test_a_pattern_without_wildcards_matches_itself_alone(name: str, pattern: str) -> None:
    image = replace(IMAGE, name=name)

    assert is_allowed(ImageCriterion(names=(pattern,)), image) is (name == pattern)


@given(name=st.text("abc", max_size=8), at=st.integers(0, 8), length=st.integers(0, 8))
def test_a_star_stands_for_any_part_of_a_name(name: str, at: int, length: int) -> None:
    pattern = name[:at] + "*" + name[at + length :]

    assert is_allowed(ImageCriterion(names=(pattern,)), replace(IMAGE, name=name))


@given(
    criteria=st.lists(
        st.builds(
            ImageCriterion,
            providers=st.lists(st.sampled_from([OWNER, "333333333333", "none", "amazon"]), max_size=2).map(tuple),
            names=st.lists(st.sampled_from(["golden-*", "other"]), max_size=2).map(tuple),
            days_since_created=st.none() | st.integers(0, 20),
        ),
        max_size=3,
    )
)
def test_an_image_is_allowed_when_it_meets_all_of_one_criterion(criteria: list[ImageCriterion]) -> None:
    expected = any(
        (not it.providers or OWNER in it.providers)
        and (not it.names or "golden-*" in it.names)
        and (it.days_since_created is None or it.days_since_created >= 10)
        for it in criteria
    )

    allowed = AllowedImages(criteria=tuple(criteria))

    assert allowed.allows(IMAGE, CALLER, NOW) is expected
    assert allowed.allows(IMAGE, OWNER, NOW)


@pytest.mark.parametrize("empty", [ImageCriterion(), ImageCriterion(watermarks=(WatermarkCriterion(),))])
def test_a_criterion_that_asks_for_nothing_is_refused(empty: ImageCriterion) -> None:
    with pytest.raises(Ec2Error) as refusal:
        check_criteria([empty])

    assert refusal.value.code == "InvalidParameterValue"
