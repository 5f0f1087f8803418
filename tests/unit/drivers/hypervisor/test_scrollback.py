"""What is shown first of what a guest wrote."""

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.drivers.hypervisor.scrollback import SCROLLBACK_LINES, scrollback

written = st.lists(st.sampled_from([b"\n", b"a", b"\r\n"]), max_size=4 * SCROLLBACK_LINES).map(b"".join)


@given(written)
def test_it_is_the_end_of_what_was_written(text: bytes) -> None:
    assert text.endswith(scrollback(text))


@given(written)
def test_it_is_at_most_so_many_lines(text: bytes) -> None:
    assert scrollback(text).count(b"\n") < SCROLLBACK_LINES


@given(written)
def test_it_is_all_of_a_short_text_and_whole_lines_of_a_long_one(text: bytes) -> None:
    left_out = text.removesuffix(scrollback(text))

    assert left_out == b"" or (left_out.endswith(b"\n") and text.count(b"\n") >= SCROLLBACK_LINES)
