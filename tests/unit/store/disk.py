"""A database file that can be full, and the stores that open it."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.exc import OperationalError

from bakehouse.domain.account import AccessKey, Account
from bakehouse.store.database import Database, sqlite_url
from bakehouse.store.migrate import migrate
from bakehouse.store.store import Store

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


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds; fail after half a minute."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.001)


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        migrate(sqlite_url(path))
        return path.read_bytes()


class Disk:
    """Opens stores on one file.

    `full` leaves the database no room to grow, as SQLite itself sees a full disk; `broken` fails every commit, and
    `unreadable` all that is asked of the database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = sqlite_url(path)
        self.full = False
        self.broken = False
        self.unreadable = False
        self.committed_by: list[str] = []
        """The names of the threads that committed, oldest first."""
        self._open: list[Store] = []
        path.write_bytes(_empty_database())

    def store(self) -> Store:
        database = Database(self.url)
        event.listen(database._engine, "begin", lambda _connection: self.read())
        connect = database._connect
        database._connect = lambda: _Connection(self, connect())  # type: ignore[method-assign, assignment, return-value]
        store = Store(database)
        self._open.append(store)
        return store

    def on_disk(self) -> dict[str, list[Any]]:
        """Return every record as another server would read it."""
        other = Store(Database(self.url))
        try:
            return contents(other)
        finally:
            other.close()

    def close(self) -> None:
        for store in self._open:
            store.close()

    def read(self) -> None:
        if self.unreadable:
            raise OperationalError("BEGIN", {}, OSError("unreadable"))

    def commit(self) -> None:
        if self.broken:
            raise OperationalError("COMMIT", {}, OSError("broken"))
        self.committed_by.append(threading.current_thread().name)


class _Connection:
    """What a database writes by."""

    def __init__(self, disk: Disk, connection: PoolProxiedConnection) -> None:
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
