"""Tokens of blocks and pages."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.snapshot_block import InvalidToken, Tokens

NOW = datetime(2026, 11, 23, tzinfo=UTC)
KEY = b"k" * 32
TOKENS = Tokens(KEY, "block", "snap-1")


@given(number=st.integers(0, 2**63))
def test_a_token_is_read_as_its_number_and_fits_the_api(number: int) -> None:
    token = TOKENS.make(number, NOW)

    assert TOKENS.read(token, NOW) == number
    assert len(token) <= 256
    assert b64encode(b64decode(token)).decode() == token


def test_a_token_expires() -> None:
    with pytest.raises(InvalidToken):
        TOKENS.read(TOKENS.make(1, NOW), NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    "other", [Tokens(b"K" * 32, "block", "snap-1"), Tokens(KEY, "page", "snap-1"), Tokens(KEY, "block", "snap-2")]
)
def test_a_token_of_another_key_or_purpose_is_none(other: Tokens) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.read(other.make(1, NOW), NOW)


@given(place=st.integers(0, 39), character=st.sampled_from("Aa0+/=\nä"))
def test_a_changed_token_is_none(place: int, character: str) -> None:
    token = TOKENS.make(1, NOW)
    changed = token[:place] + character + token[place + 1 :]
    if changed != token:
        with pytest.raises(InvalidToken):
            TOKENS.read(changed, NOW)


@given(token=st.text(max_size=60))
def test_any_text_is_read_or_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.read(token, NOW)
