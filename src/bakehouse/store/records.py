"""The records in memory: what every read is answered from.

One process owns the database, so its contents are held here once, decoded, and a read costs a look-up. Records are
frozen: who holds one may compare it by identity to learn whether it has changed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

#: What look-ups of an empty index share.
_NONE: Final[Mapping[str, Any]] = {}


class Record(Protocol):
    """Anything with an id; those of an account's region carry both."""

    @property
    def id(self) -> str:
        """The key."""
        ...


R = TypeVar("R", bound=Record)


class Each(tuple[object, ...]):
    """Several keys of one record in one index: it is found by each of them."""

    __slots__ = ()


class Index(Generic[R]):
    """Records by a key other than their id. A key of None leaves a record out; `Each` puts it under several."""

    def __init__(self, key: Callable[[R], object | None]) -> None:
        """Index by what `key` returns."""
        self._key = key
        self._entries: dict[object, dict[str, R]] = {}

    def __getitem__(self, key: object) -> Mapping[str, R]:
        """Return the records with this key by id; none is an empty mapping."""
        return self._entries.get(key, _NONE)

    def counts(self) -> dict[Any, int]:
        """Return how many records there are by each key."""
        return {key: len(entries) for key, entries in self._entries.items()}

    def replace(self, old: R | None, new: R | None) -> None:
        """Follow a change of one record."""
        old_key = None if old is None else self._key(old)
        new_key = None if new is None else self._key(new)
        if old is not None and old_key is not None and (new is None or new_key != old_key):
            for key in set(old_key) if isinstance(old_key, Each) else (old_key,):
                entries = self._entries[key]
                del entries[old.id]
                if not entries:
                    del self._entries[key]
        if new is not None and new_key is not None:
            for key in set(new_key) if isinstance(new_key, Each) else (new_key,):
                self._entries.setdefault(key, {})[new.id] = new


class Records(Generic[R]):
    """All records of one type, by id, in the order of their making."""

    def __init__(self, **indexes: Callable[[R], object | None]) -> None:
        """Keep the named indexes beside the ids."""
        self._by_id: dict[str, R] = {}
        self._indexes = {name: Index(key) for name, key in indexes.items()}
        self.version = 0
        """Grows with every change: what was derived at an older version may be stale."""

    def get(self, record_id: str) -> R | None:
        """Return a record, or None."""
        return self._by_id.get(record_id)

    def __getitem__(self, record_id: str) -> R:
        """Return a record that exists; KeyError otherwise."""
        return self._by_id[record_id]

    def __contains__(self, record_id: object) -> bool:
        """Tell whether there is a record of this id."""
        return record_id in self._by_id

    def __iter__(self) -> Iterator[R]:
        """Yield the records, oldest first; a changed one keeps its place."""
        return iter(self._by_id.values())

    def __len__(self) -> int:
        """Count them."""
        return len(self._by_id)

    def by(self, index: str) -> Index[R]:
        """Return one of the indexes."""
        return self._indexes[index]

    def replace(self, record_id: str, new: R | None) -> R | None:
        """Put, change or remove (None) a record in memory and return what was there. Only the store calls this."""
        old = self._by_id.get(record_id)
        if new is None:
            self._by_id.pop(record_id, None)
        else:
            self._by_id[record_id] = new
        for index in self._indexes.values():
            index.replace(old, new)
        self.version += 1
        return old

    def clear(self) -> None:
        """Forget everything, before it is read again."""
        for record_id in list(self._by_id):
            self.replace(record_id, None)
