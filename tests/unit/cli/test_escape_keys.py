"""Which keys of a console session are the guest's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.cli.escape_keys import Command, EscapeKeys, InvalidEscapeKey, Pressed, SysRq, escape_byte, key_name

ESCAPE = b"\x1d"


def pressed(*pieces: bytes) -> list[Pressed]:
    """Return what keys mean, with what goes to the guest in one piece."""
    keys = EscapeKeys(ESCAPE)
    meant: list[Pressed] = []
    for piece in pieces:
        for one in keys.feed(piece):
            if isinstance(one, bytes) and meant and isinstance(meant[-1], bytes):
                meant[-1] += one
            else:
                meant.append(one)
    return meant


@given(st.binary().filter(lambda typed: ESCAPE not in typed))
def test_every_key_but_the_escape_key_is_the_guests(typed: bytes) -> None:
    assert b"".join(it for it in pressed(typed) if isinstance(it, bytes)) == typed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (b"ls\r\x1dd", [b"ls\r", Command.DETACH]),
        (b"\x1d.", [Command.DETACH]),
        (b"\x1db", [Command.BREAK]),
        (b"\x1d?", [Command.HELP]),
        (b"\x1dsh", [SysRq("h")]),
        (b"\x1ds\x1dx", [b"x"]),
        (b"a\x1d\x1db", [b"a\x1db"]),
        (b"a\x1dzb", [b"ab"]),
        (b"\x1d", []),
    ],
)
def test_the_escape_key_begins_a_command(typed: bytes, meant: list[Pressed]) -> None:
    assert pressed(typed) == meant


@given(st.lists(st.sampled_from([b"\x1d", b"d", b"s", b"b", b"x"])), st.data())
def test_it_does_not_matter_where_what_is_typed_is_cut(keys: list[bytes], data: st.DataObject) -> None:
    typed = b"".join(keys)
    cut = data.draw(st.integers(0, len(typed)))

    assert pressed(typed[:cut], typed[cut:]) == pressed(typed)


@pytest.mark.parametrize(
    ("name", "byte"),
    [("^]", b"\x1d"), ("ctrl-]", b"\x1d"), ("Ctrl-A", b"\x01"), ("^a", b"\x01"), ("~", b"~"), ("^", b"^")],
)
def test_keys_are_named_as_people_name_them(name: str, byte: bytes) -> None:
    assert escape_byte(name) == byte


@pytest.mark.parametrize("name", ["", "ab", "^^^", "ctrl-", "ü", "\n"])
def test_what_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidEscapeKey):
        escape_byte(name)


def test_a_control_key_is_shown_by_its_letter() -> None:
    assert (key_name(b"\x1d"), key_name(b"~")) == ("Ctrl-]", "~")
