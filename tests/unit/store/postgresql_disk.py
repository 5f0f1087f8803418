"""A database of PostgreSQL that is full, out of reach or restarted, and the stores that open it."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import PoolProxiedConnection
from tests.postgresql import Postgresql
from tests.unit.store.disk import LARGE, Disk

from bakehouse.store.database import Database
from bakehouse.store.tables import TABLES

_LARGE_BYTES: Final = len(LARGE) // 2


class PostgresqlDisk(Disk):
    """Opens stores on one database, which is emptied first.

    Full, the service refuses large documents; unreadable, it ends all connections and takes no new one.
    """

    def __init__(self, postgresql: Postgresql, name: str) -> None:
        super().__init__(postgresql.url(name))
        self.postgresql = postgresql
        postgresql.start_again()
        self._name = name
        self.sql("; ".join(f"DELETE FROM {table}" for table in TABLES))  # noqa: S608 - the product's own names

    def sql(self, *statements: str) -> list[Any]:
        """Execute statements beside the stores and return the rows of the last."""
        return self.postgresql.sql(*statements, database=self._name)

    def close(self) -> None:
        if self.unreadable:
            self.unreadable = False
        super().close()
        if self.full:
            self.full = False

    def set_full(self, *, is_full: bool) -> None:
        change = f"ADD CONSTRAINT room CHECK (length(document) < {_LARGE_BYTES})" if is_full else "DROP CONSTRAINT room"
        self.sql(f"ALTER TABLE accounts {change}")

    def set_unreadable(self, *, is_unreadable: bool) -> None:
        self.postgresql.sql(
            f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS {not is_unreadable}",
            f"SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = '{self._name}'",  # noqa: S608
        )

    def spy_on(self, database: Database) -> None:
        connect = database._connect
        database._connect = lambda: _Connection(self, connect())  # type: ignore[method-assign, assignment, return-value]

    def documents(self) -> Iterable[tuple[str, bytes]]:
        everything = " UNION ALL ".join(f"SELECT '{table}', document, made FROM {table}" for table in TABLES)  # noqa: S608
        for table, document, _ in self.sql(f"{everything} ORDER BY 1, 3"):
            yield table, document


class _Connection:
    """What a database reads and writes by."""

    def __init__(self, disk: Disk, connection: PoolProxiedConnection) -> None:
        self._disk = disk
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        self._connection.commit()
        self._disk.commit()
