"""A database that can be full or out of reach, and the stores that open it."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.exc import OperationalError
from tests.empty_database import empty_database

from bakehouse.domain.account import AccessKey, Account
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.store import Store
from bakehouse.store.tables import RECORD_TYPES

NOW = datetime(2026, 11, 23, 6, 18, 9, 123456, tzinfo=UTC)

#: More than the free room of any page.
LARGE = "x" * 100_000


def account(number: int = 1, name: str = "test") -> Account:
    return Account(id=f"{number:012}", name=name, created_at=NOW)


def key(number: int = 1, account_id: str = "000000000001") -> AccessKey:
    return AccessKey(id=f"AKIA{number:016}", account_id=account_id, secret="s" * 40, created_at=NOW)


def contents(store: Store) -> dict[str, list[Any]]:
    """Return every record, each kind in the store's order."""
    return {name: list(records) for name, records in store.records.items()}


class Disk(ABC):
    """Opens stores on one database.

    `full` leaves it no room for large documents; `unreadable` refuses all that is asked of it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.committed_by: list[str] = []
        """The names of the threads that committed, oldest first."""
        self._full = False
        self._unreadable = False
        self._open: list[Store] = []

    @property
    def full(self) -> bool:
        return self._full

    @full.setter
    def full(self, value: bool) -> None:
        self._full = value
        self.set_full(is_full=value)

    @property
    def unreadable(self) -> bool:
        return self._unreadable

    @unreadable.setter
    def unreadable(self, value: bool) -> None:
        self._unreadable = value
        self.set_unreadable(is_unreadable=value)

    def store(self) -> Store:
        database = Database(self.url)
        self.spy_on(database)
        store = Store(database)
        self._open.append(store)
        return store

    def on_disk(self) -> dict[str, list[Any]]:
        """Return every record as another server would read it."""
        found: dict[str, list[Any]] = {name: [] for name in RECORD_TYPES}
        for table, document in self.documents():
            found[table].append(msgspec.json.decode(document, type=RECORD_TYPES[table]))
        return found

    def close(self) -> None:
        for store in self._open:
            store.close()

    def commit(self) -> None:
        """Take note of a commit, by the thread that makes it."""
        self.committed_by.append(threading.current_thread().name)

    @abstractmethod
    def set_full(self, *, is_full: bool) -> None: ...

    @abstractmethod
    def set_unreadable(self, *, is_unreadable: bool) -> None: ...

    @abstractmethod
    def spy_on(self, database: Database) -> None:
        """Let a database's commits be counted."""

    @abstractmethod
    def documents(self) -> Iterable[tuple[str, bytes]]:
        """Return (table, document) of what is on disk, in the order of its making."""


class SqliteDisk(Disk):
    """A file, whose disk is full as SQLite itself sees it. `broken` fails every commit."""

    def __init__(self, path: Path) -> None:
        super().__init__(sqlite_url(path))
        self.path = path
        self.broken = False
        path.write_bytes(empty_database())

    def set_full(self, *, is_full: bool) -> None:
        """Each connection looks by itself."""

    def set_unreadable(self, *, is_unreadable: bool) -> None:
        """The same."""

    def spy_on(self, database: Database) -> None:
        event.listen(database._engine, "begin", lambda _connection: self.read())
        connect = database._connect
        database._connect = lambda: _Connection(self, connect())  # type: ignore[method-assign, assignment, return-value]

    def documents(self) -> Iterable[tuple[str, bytes]]:
        other = Database(self.url)
        try:
            return [(table, document) for table, _, document in other.read_all()]
        finally:
            other.close()

    def read(self) -> None:
        if self.unreadable:
            raise OperationalError("BEGIN", {}, OSError("unreadable"))

    def commit(self) -> None:
        if self.broken:
            raise OperationalError("COMMIT", {}, OSError("broken"))
        super().commit()


class _Connection:
    """What a database writes by."""

    def __init__(self, disk: SqliteDisk, connection: PoolProxiedConnection) -> None:
        self._disk = disk
        self._connection = connection

    def cursor(self) -> Any:
        self._disk.read()
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA page_count")
        ((pages,),) = cursor.fetchall()
        cursor.execute(f"PRAGMA max_page_count={pages if self._disk.full else 2**30}")
        return cursor

    def commit(self) -> None:
        self._disk.commit()
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()
