r"""Filters: `Filter.N.Name` and its values, for any noun.

A noun declares its filters as a table from name to the values that a record has under it. Values of one filter are
alternatives, filters are all required; `*` and `?` are wildcards and `\` escapes them.
Source: EC2 User Guide, "List and filter your resources".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from bakehouse.domain.errors import Ec2Error, invalid_parameter
from bakehouse.domain.wildcards import wildcards

T = TypeVar("T")
Values = Callable[[T], Iterable[str | None]]

#: Source: EC2 API Reference, Error codes, FilterLimitExceeded: 200 values in one request.
_VALUES_MAX = 200


def flag(value: bool) -> str:  # noqa: FBT001 - this is about a boolean
    """Return a boolean as filters name it."""
    return "true" if value else "false"


class Filters(Generic[T]):
    """The filters of one noun."""

    def __init__(
        self,
        values: Mapping[str, Values[T]],
        tags: Callable[[T], Mapping[str, str]] | None = None,
        *,
        parts: bool = True,
    ) -> None:
        """Take the table; `tags` adds `tag:KEY`, and with `parts` also `tag-key` and `tag-value`."""
        self._values = dict(values)
        self._tags = tags
        if tags is not None and parts:
            self._values["tag-key"] = tags
            self._values["tag-value"] = lambda record: tags(record).values()

    def with_tags(
        self, tags: Callable[[T], Mapping[str, str]], values: Mapping[str, Values[T]] = MappingProxyType({})
    ) -> "Filters[T]":
        """Return these filters by other tags, and by other values of some names."""
        return Filters({**self._values, **values}, tags=tags)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are known, for the reference page."""
        return tuple(sorted(self._values)) + (("tag:<key>",) if self._tags else ())

    def compile(self, request: Mapping[str, Any]) -> Callable[[T], bool]:
        """Return the test that a request's Filters make. Unknown names are refused: InvalidParameterValue."""
        wanted: Sequence[Mapping[str, Any]] = request.get("Filters") or ()
        if sum(len(entry.get("Values", ())) for entry in wanted) > _VALUES_MAX:
            raise Ec2Error(
                "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200"
            )
        tests = [self._test(entry.get("Name", ""), entry.get("Values") or ()) for entry in wanted]
        if not tests:
            return _everything
        if len(tests) == 1:
            return tests[0]

        def passes(record: T) -> bool:
            for test in tests:  # noqa: SIM110 - ten thousand records: a generator for each takes twice as long
                if not test(record):
                    return False
            return True

        return passes

    def _test(self, name: str, patterns: Sequence[str]) -> Callable[[T], bool]:
        values = self._of(name)
        matches = _matcher(tuple(patterns))

        def test(record: T) -> bool:
            for value in values(record):  # noqa: SIM110 - see above
                if value is not None and matches(value):
                    return True
            return False

        return test

    def _of(self, name: str) -> Values[T]:
        known = self._values.get(name)
        if known is not None:
            return known
        if self._tags is not None and name.startswith("tag:"):
            tags, key = self._tags, name.removeprefix("tag:")
            return lambda record: (tags(record).get(key),)
        raise invalid_parameter(f"The filter '{name}' is invalid")


def _everything(_record: object) -> bool:
    return True


def _has_wildcard(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern or "\\" in pattern


def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return what is true of the values that one of the patterns takes."""
    if any(_has_wildcard(pattern) for pattern in patterns):
        return wildcards(patterns, escapes=True).fullmatch
    return frozenset(patterns).__contains__
