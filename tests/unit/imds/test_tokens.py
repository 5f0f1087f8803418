from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.imds.samples import NOW

from bakehouse.imds.tokens import Tokens

INSTANCE = "i-0123456789abcdef0"
TOKENS = Tokens(b"secret")


def test_a_token_is_good_for_its_instance() -> None:
    assert TOKENS.seconds_left(TOKENS.issue(INSTANCE, 60, NOW), INSTANCE, NOW) == 60


def test_a_token_is_no_good_for_another_instance() -> None:
    assert TOKENS.seconds_left(TOKENS.issue(INSTANCE, 60, NOW), "i-0123456789abcdef1", NOW) is None


def test_a_token_outlives_the_server() -> None:
    token = TOKENS.issue(INSTANCE, 60, NOW)

    assert Tokens(b"secret").seconds_left(token, INSTANCE, NOW) == 60


def test_a_token_of_another_secret_is_no_good() -> None:
    token = Tokens(b"other").issue(INSTANCE, 60, NOW)

    assert TOKENS.seconds_left(token, INSTANCE, NOW) is None


@pytest.mark.parametrize(("age_s", "left"), [(0.0, 2), (0.5, 2), (1.0, 1), (1.999, 1), (2.0, None), (3600.0, None)])
def test_a_token_lives_for_its_seconds(age_s: float, left: int | None) -> None:
    token = TOKENS.issue(INSTANCE, 2, NOW)

    assert TOKENS.seconds_left(token, INSTANCE, NOW + timedelta(seconds=age_s)) == left


def test_two_tokens_of_one_moment_differ() -> None:
    assert TOKENS.issue(INSTANCE, 60, NOW) != TOKENS.issue(INSTANCE, 60, NOW)


@given(position=st.integers(0, 47), flip=st.integers(1, 255))
def test_a_token_with_a_changed_byte_is_no_good(position: int, flip: int) -> None:
    raw = bytearray(urlsafe_b64decode(TOKENS.issue(INSTANCE, 60, NOW)))
    raw[position] ^= flip

    assert TOKENS.seconds_left(urlsafe_b64encode(raw).decode(), INSTANCE, NOW) is None


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_no_token(text: str) -> None:
    assert TOKENS.seconds_left(text, INSTANCE, NOW) is None
