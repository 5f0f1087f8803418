"""The keys that a console session takes for itself: behind one escape key, so that every other is the guest's."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

_CONTROL: Final = 0x1F
_KEY_MIN: Final = ord("?")
_KEY_MAX: Final = ord("z")


class Command(Enum):
    """What a key behind the escape key asks for."""

    DETACH = "detach"
    BREAK = "break"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class SysRq:
    """SysRq and a key."""

    key: str


#: What is typed is bytes.
Pressed = bytes | Command | SysRq

_COMMANDS: Final = {b"d": Command.DETACH, b".": Command.DETACH, b"b": Command.BREAK, b"?": Command.HELP}


class InvalidEscapeKey(ValueError):
    """There is no such key."""


def escape_byte(name: str) -> bytes:
    """Return what a terminal sends for a key: `^]` and `ctrl-]` for a control key, or the character itself.

    Raises:
        InvalidEscapeKey: It is neither.
    """
    lowered = name.lower()
    key = lowered[1:] if lowered.startswith("^") else lowered.removeprefix("ctrl-")
    if key != lowered and len(key) == 1 and _KEY_MIN <= ord(key) <= _KEY_MAX:
        return bytes([ord(key.upper()) & _CONTROL])
    if len(name) == 1 and name.isascii() and name.isprintable():
        return name.encode()
    raise InvalidEscapeKey(name)


def key_name(escape: bytes) -> str:
    """Return what people call the key."""
    code = escape[0]
    return f"Ctrl-{chr(code | 0x40)}" if code <= _CONTROL else escape.decode()


class EscapeKeys:
    """Tells what is typed to the guest from what is meant for the session. What is fed may be cut anywhere."""

    def __init__(self, escape: bytes) -> None:
        self._escape = escape
        self._behind = b""
        """What was typed of a sequence that is not whole yet."""

    def feed(self, data: bytes) -> Iterator[Pressed]:
        """Yield what the keys mean. Twice the escape key is the key itself; an unknown sequence is nothing."""
        plain = b""
        for code in data:
            key = bytes([code])
            if not self._behind and key != self._escape:
                plain += key
                continue
            if plain:
                yield plain
                plain = b""
            pressed = self._press(key)
            if pressed is not None:
                yield pressed
        if plain:
            yield plain

    def _press(self, key: bytes) -> Pressed | None:
        if not self._behind:
            self._behind = key
            return None
        if self._behind == self._escape and key == b"s":
            self._behind += key
            return None
        asks_for_sysrq = self._behind != self._escape
        self._behind = b""
        if asks_for_sysrq:
            return SysRq(key.decode()) if key.isalnum() else None
        return key if key == self._escape else _COMMANDS.get(key)
