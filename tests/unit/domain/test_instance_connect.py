"""User names of serial consoles."""

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.ids import is_well_formed
from bakehouse.domain.instance_connect import instance_of_serial_user

_DIGITS = st.text("0123456789abcdef", min_size=17, max_size=17)


@given(_DIGITS)
def test_the_user_of_a_serial_console_names_its_instance(digits: str) -> None:
    assert instance_of_serial_user(f"i-{digits}.port0") == f"i-{digits}"


@given(st.text() | st.from_regex(r"i-[0-9a-f]{16,18}(\.port[0-9]?)*", fullmatch=True))
def test_another_user_is_no_serial_consoles(user: str) -> None:
    instance_id = instance_of_serial_user(user)

    assert instance_id is None or (user == f"{instance_id}.port0" and is_well_formed(instance_id, "instance"))
