"""Views that keep their own XML: a record that has not changed is not rendered again.

Records are frozen, so a view made from the same object is the same view. The serializer leaves the XML in `rendered`
(`protocol/responses.py`, the memo convention).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

#: A view with its XML takes some 4 KiB, so this many 64 MiB.
_MOST: Final = 16_384

T = TypeVar("T")


class View(dict[str, Any]):
    """A structure of an answer. It must not change once it was answered."""

    __slots__ = ("rendered",)

    def __init__(self, members: Mapping[str, Any]) -> None:
        """Take the members, not rendered yet."""
        super().__init__(members)
        self.rendered: str | None = None


class Views(Generic[T]):
    """The views of one noun, each made once for each state of what it shows."""

    def __init__(self, key: Callable[[T], str], make: Callable[[T], Mapping[str, Any]]) -> None:
        """Take the id of what is shown, and how it is shown; `make` may use nothing but its argument."""
        self._key = key
        self._make = make
        self._known: dict[str, tuple[T, View]] = {}

    def of(self, shown: T) -> View:
        """Return the view of an object, the same one as long as it is the same object."""
        key = self._key(shown)
        known = self._known.get(key)
        if known is not None and known[0] is shown:
            return known[1]
        view = View(self._make(shown))
        if known is None and len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        self._known[key] = shown, view
        return view
