from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.page_token import InvalidPageToken, decode, encode

KEY = b"k" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(payload=st.dictionaries(st.text(max_size=10), JSON, max_size=5))
def test_a_token_gives_back_its_payload(payload: dict[str, Any]) -> None:
    assert decode(KEY, encode(KEY, payload)) == payload


def test_a_token_needs_no_escaping_in_a_query() -> None:
    assert encode(KEY, {"after": "i-0123456789abcdef0?&/+ä"}).replace("-", "").replace("_", "").isalnum()


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(InvalidPageToken):
        decode(b"other" * 8, encode(KEY, {"after": "i-1"}))


@given(position=st.integers(0, 200), character=st.characters(codec="utf-8"))
def test_a_token_with_a_changed_character_is_refused(position: int, character: str) -> None:
    token = encode(KEY, {"after": "i-0123456789abcdef0", "filters": "5f3c"})
    position %= len(token)
    changed = token[:position] + character + token[position + 1 :]
    if changed == token:
        return

    with pytest.raises(InvalidPageToken):
        decode(KEY, changed)


@given(token=st.text(max_size=100))
def test_any_other_text_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        decode(KEY, token)


@pytest.mark.parametrize("token", ["", "A" * 5000, "====", "ab c", "a\n"])
def test_a_token_of_the_wrong_form_is_refused(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        decode(KEY, token)
