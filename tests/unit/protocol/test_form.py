from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.protocol.errors import ProtocolError
from bakehouse.protocol.form import MAX_PARAMETERS, decode_form

TEXT = st.text(st.characters(codec="utf-8"))


@given(pairs=st.lists(st.tuples(TEXT, TEXT)))
def test_a_form_is_read_as_the_standard_library_reads_it(pairs: list[tuple[str, str]]) -> None:
    form = urlencode(pairs)

    assert decode_form(form.encode()) == parse_qsl(form, keep_blank_values=True, strict_parsing=False)


def test_a_name_without_a_value_is_empty_and_an_empty_pair_is_none() -> None:
    assert decode_form(b"a&&b=&c=1=2") == [("a", ""), ("b", ""), ("c", "1=2")]


def test_plus_and_percent_are_decoded_once() -> None:
    assert decode_form(b"a+b=%252B+%2B") == [("a b", "%2B +")]


@pytest.mark.parametrize("data", [b"a=%ff", b"%c3=a", b"a=\xff", b"a=%ed%a0%80"])
def test_a_form_that_is_not_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_form(data)

    assert refused.value.code == "MalformedQueryString"


def test_a_form_of_too_many_pairs_is_refused() -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_form(b"a=1&" * MAX_PARAMETERS)

    assert refused.value.code == "MalformedQueryString"
