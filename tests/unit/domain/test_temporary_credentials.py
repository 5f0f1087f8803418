"""Temporary credentials follow from what they stand for, and cannot be made of anything else."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.temporary_credentials import Session, issue, read

KEY = b"a key"
ENDS = datetime(2026, 11, 23, 12, tzinfo=UTC)


def issued(key: bytes = KEY, **changes: Any) -> Session:
    members: dict[str, Any] = {
        "account_id": "111122223333",
        "arn": "arn:aws:sts::111122223333:assumed-role/web/i-1",
        "user_id": "AROA1:i-1",
        "role_id": "AROA1",
        "expires_at": ENDS,
        "salt": "once",
        **changes,
    }
    return issue(key, **members)


def test_what_is_read_is_what_was_issued() -> None:
    session = issued()

    assert read(KEY, session.access_key_id, session.token) == session
    assert session.access_key_id.startswith("ASIA")


def test_the_same_claim_gives_the_same_credentials_and_another_others() -> None:
    assert issued() == issued()
    others = [
        issued(salt="twice"),
        issued(account_id="444455556666"),
        issued(expires_at=ENDS + timedelta(seconds=1)),
        issued(b"another key"),
    ]
    for of in ("access_key_id", "secret", "token"):
        assert len({getattr(it, of) for it in (issued(), *others)}) == 1 + len(others)


def test_a_token_is_good_with_its_own_key_id_and_its_own_server_only() -> None:
    session = issued()

    assert read(KEY, issued(salt="twice").access_key_id, session.token) is None
    assert read(b"another key", session.access_key_id, session.token) is None


@given(place=st.integers(min_value=0), flipped=st.integers(min_value=1, max_value=255))
def test_a_token_of_which_a_byte_was_changed_is_none(place: int, flipped: int) -> None:
    session = issued()
    packed = bytearray(urlsafe_b64decode(session.token))
    packed[place % len(packed)] ^= flipped

    assert read(KEY, session.access_key_id, urlsafe_b64encode(packed).decode()) is None


@given(token=st.text() | st.binary().map(lambda it: urlsafe_b64encode(it).decode()))
def test_what_is_no_token_is_none(token: str) -> None:
    assert read(KEY, "ASIAAAAAAAAAAAAAAAAA", token) is None
