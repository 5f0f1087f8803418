"""The database: SQLite in a file, or PostgreSQL by URL; written by one thread, in groups.

Changes that arrive while the disk is busy share the next commit, so durability costs one flush however many
requests wait for it.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from sqlalchemy import Delete, Engine, Table, bindparam, create_engine, delete, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.compiler import SQLCompiler

from bakehouse.store.tables import TABLES

#: How many changes one commit takes at the most, so that the first of a flood does not wait for the last.
_GROUP: Final = 512


@dataclass(frozen=True, slots=True)
class Write:
    """One record's new document, or None when it is removed."""

    table: str
    record_id: str
    document: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that become durable together, and whom to tell."""

    epoch: int
    """The store's epoch when it was made: after a failed commit, what was based on it fails too."""
    writes: Sequence[Write]
    done: Callable[[Exception | None], None]
    """Called in the writer's thread."""


class StaleBatch(Exception):
    """The batch was based on changes that did not reach the disk."""


class Database:
    """Reads everything once, then writes from its own thread."""

    def __init__(self, url: str) -> None:
        """Open the database; its tables exist (`migrate`)."""
        self._engine = open_engine(url)
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        self._upserts = {name: self._compiled(_upsert(insert, table)) for name, table in TABLES.items()}
        self._deletes = {name: self._compiled(_delete(table)) for name, table in TABLES.items()}
        self.epoch = 0
        """Grows when a commit fails; the store must read everything again before it may write."""
        self._connection: Connection | None = None
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, name="database", daemon=True)
        self._thread.start()

    def read_all(self) -> Iterable[tuple[str, str, bytes]]:
        """Yield (table, id, document) of every record, in the order of their making."""
        with self._engine.connect() as connection:
            for name, table in TABLES.items():
                for record_id, document in connection.execute(select(table.c.id, table.c.document)):
                    yield name, record_id, document

    def submit(self, batch: Batch) -> None:
        """Queue a batch; `batch.done` hears when it is on disk, or why not."""
        self._queue.put(batch)

    def close(self) -> None:
        """Write what is queued and let go of the database."""
        self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def _write_forever(self) -> None:
        while (batch := self._queue.get()) is not None:
            group = [batch]
            while len(group) < _GROUP and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                group.append(following)
            self._write(group)
        self._disconnect()

    def _write(self, group: Sequence[Batch]) -> None:
        epoch = self.epoch
        error = self._commit([batch for batch in group if batch.epoch == epoch])
        if error is not None:
            self.epoch += 1
        for batch in group:
            batch.done(error if batch.epoch == epoch else StaleBatch("an earlier change could not be written"))

    def _commit(self, group: Sequence[Batch]) -> Exception | None:
        try:
            # One connection for the thread's life: taking one from the pool for each commit doubles its time.
            connection = self._connection or self._engine.connect()
            self._connection = connection
            with connection.begin():
                # The driver's own cursor: SQLAlchemy's way to it takes longer than SQLite's work.
                cursor = connection.connection.cursor()
                for batch in group:
                    for write in batch.writes:
                        self._apply(cursor, write)
        except Exception as err:  # noqa: BLE001 - whatever it was, those who wait hear of it, and the thread lives on
            with suppress(SQLAlchemyError, self._driver_error):
                self._disconnect()
            self._connection = None
            return err
        return None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _apply(self, cursor: DBAPICursor, write: Write) -> None:
        statement = (self._deletes if write.document is None else self._upserts)[write.table]
        values = {"id": write.record_id, "document": write.document}
        names = statement.positiontup
        cursor.execute(statement.string, values if names is None else tuple(values[name] for name in names))

    def _compiled(self, statement: Any) -> SQLCompiler:  # noqa: ANN401 - either dialect's statement
        compiled: SQLCompiler = statement.compile(dialect=self._engine.dialect)
        return compiled


def _delete(table: Table) -> Delete:
    return delete(table).where(table.c.id == bindparam("id"))


def _upsert(insert: Any, table: Table) -> Any:  # noqa: ANN401 - both dialects' inserts, which share no type
    statement = insert(table)
    return statement.on_conflict_do_update(index_elements=["id"], set_={"document": statement.excluded.document})


def open_engine(url: str) -> Engine:
    """Return an engine; SQLite's in WAL mode with every commit flushed (`synchronous=FULL`)."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _durable(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    return engine


def sqlite_url(path: Path) -> str:
    """Return the URL of a database file."""
    return f"sqlite:///{path}"
