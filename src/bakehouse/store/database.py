"""The database: SQLite in a file, or PostgreSQL by URL; written in groups.

Changes that arrive together share a commit, so durability costs one flush however many requests wait for it. Where
commits have lately been quick, who has changes commits them on the spot: to hand them to the thread and to hear of it
takes longer than the flush. Where they have not, the thread waits for the disk; what comes meanwhile is its next group.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import structlog
from sqlalchemy import (
    Engine,
    PoolProxiedConnection,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.sql.compiler import SQLCompiler

from bakehouse.store.postgresql import DatabaseUnusable, claim, is_connection_lost, postgresql_engine, unusable
from bakehouse.store.tables import TABLES

_log: Final = structlog.get_logger(__name__)

#: How many changes one commit takes at the most, so that the first of a flood does not wait for the last.
_GROUP: Final = 512

#: What counts as quick, in seconds. Everything else waits for as long when it is done on the spot.
_QUICK_S: Final = 0.001

#: A commit with more records than this is never done on the spot.
_FEW_WRITES: Final = 64

#: How much the latest commit weighs in the mean: after one of 50 ms the next twenty are the thread's.
_WEIGHT: Final = 0.2

#: How long PostgreSQL may be away, restarting, before a change fails for it; and between two looks.
_PATIENCE_S: Final = 10.0
_RETRY_S: Final = 0.1

_NOTHING: Final = nullcontext()


@dataclass(frozen=True, slots=True)
class Write:
    """One record's new document, or None when it is removed."""

    table: str
    record_id: str
    document: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that become durable together."""

    epoch: int
    """The store's epoch when it was made: after a failed commit, what was based on it fails too."""
    writes: Sequence[Write]


#: What is written to make SQLite's log long at once. A commit that makes it longer takes twice as long as one that goes
#: over what an earlier one left; after 1,000 pages (4 MiB) SQLite begins at its start again. 2 MiB stay in its cache.
_LOG_BYTES: Final = 6 << 20

#: Why a batch is not on disk, or None.
Outcome = Exception | None


@dataclass(frozen=True, slots=True)
class _Group:
    batches: Sequence[Batch]
    done: Callable[[Sequence[Outcome]], None]


class StaleBatch(Exception):
    """The batch was based on changes that did not reach the disk."""


class Database:
    """Reads everything once, then writes."""

    def __init__(self, url: str, *, long_log: bool = False) -> None:
        """Open the database; its tables exist (`migrate`).

        With `long_log`, SQLite's log is made long before the first commit, not by the commits.

        Raises:
            DatabaseUnusable: PostgreSQL's driver is not installed.
        """
        self._engine = open_engine(url)
        self._is_postgresql = self._engine.dialect.name == "postgresql"
        """A service: it may be far away, or restart. One connection reads and writes, which alone may (`claim`)."""
        self._driver_error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        self._statements = _statements(self._engine.dialect.name)
        self.epoch = 0
        """Grows when a commit fails; the store must read everything again before it may write."""
        self._long_log = long_log and not self._is_postgresql
        self._connection: PoolProxiedConnection | None = None
        self._commit_s = _QUICK_S
        """The mean of the latest commits. Not quick, to begin with: the thread finds out."""
        self._queue: SimpleQueue[_Group | None] = SimpleQueue()
        self._queued = 0
        self._written = 0
        """Groups given to the thread, and those it is done with. Each is counted by one thread only."""
        self._thread = threading.Thread(target=self._write_forever, name="database", daemon=True)
        self._thread.start()

    def read_all(self) -> Iterable[tuple[str, str, bytes]]:
        """Yield (table, id, document) of every record, in the order of their making.

        Raises:
            DatabaseUnusable: PostgreSQL does not answer, or another server uses the database.
        """
        with self._reading() as cursor:
            for name, statements in self._statements.items():
                cursor.execute(statements.read.string)
                for record_id, document in cursor.fetchall():
                    yield name, record_id, document

    @contextmanager
    def _reading(self) -> Iterator[DBAPICursor]:
        if not self._is_postgresql:
            with self._engine.connect() as connection:
                connection.begin()
                yield connection.connection.cursor()
            return
        try:
            claimed = self._connection = self._connection or self._connect()
            yield claimed.cursor()
            claimed.rollback()
        except self._driver_error as err:
            self._forget_connection()
            raise unusable(err) from err
        except Exception:
            self._forget_connection()
            raise

    def is_quick(self, batches: Sequence[Batch]) -> bool:
        """Tell whether `write` may be called, and takes no longer than to wake the thread."""
        return (
            not self._is_postgresql
            and self._commit_s < _QUICK_S
            and self._written == self._queued
            and sum(len(batch.writes) for batch in batches) <= _FEW_WRITES
        )

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Write batches in one commit and return what became of each. Only while the thread is idle (`is_quick`)."""
        epoch = self.epoch
        current = [batch for batch in batches if batch.epoch == epoch]
        error = self._commit(current) if current else None
        if error is not None and self._is_postgresql:
            error = self._commit_again(current, error)
        if error is not None:
            self.epoch += 1
        stale = StaleBatch("an earlier change could not be written")
        return [error if batch.epoch == epoch else stale for batch in batches]

    def write_later(self, batches: Sequence[Batch], done: Callable[[Sequence[Outcome]], None]) -> None:
        """Let the thread write; it calls `done` with what became of each batch."""
        self._queued += 1
        self._queue.put(_Group(batches, done))

    def close(self) -> None:
        """Write what is queued and let go of the database."""
        self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def _write_forever(self) -> None:
        while (group := self._queue.get()) is not None:
            groups = [group]
            while sum(len(it.batches) for it in groups) < _GROUP and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                groups.append(following)
            outcomes = iter(self.write([batch for it in groups for batch in it.batches]))
            for it in groups:
                self._written += 1
                it.done([next(outcomes) for _ in it.batches])
        self._disconnect()

    def _commit(self, group: Sequence[Batch]) -> Outcome:
        began = time.perf_counter()
        try:
            # One connection for good: taking one from the pool for each commit doubles its time. The driver's own:
            # what SQLAlchemy does around a transaction and a statement takes longer than SQLite's work.
            connection = self._connection = self._connection or self._connect()
            cursor = connection.cursor()
            with self._pipeline(connection):
                for batch in group:
                    for write in batch.writes:
                        self._apply(cursor, write)
                connection.commit()
        except Exception as err:  # noqa: BLE001 - whatever it was, those who wait hear of it, and the thread lives on
            self._forget_connection()
            self._commit_s = _QUICK_S
            return err
        self._commit_s += _WEIGHT * (time.perf_counter() - began - self._commit_s)
        return None

    def _commit_again(self, group: Sequence[Batch], error: Exception) -> Outcome:
        """Commit what was under way when PostgreSQL went away, as soon as it is back: nobody need hear of a restart.

        Whether the commit whose answer was lost took place does not matter: each write is all of its record.
        """
        if is_connection_lost(error):
            _log.warning("the database is away", reason=str(error))
        deadline = time.monotonic() + _PATIENCE_S
        outcome: Outcome = error
        while outcome is not None and is_connection_lost(outcome) and time.monotonic() < deadline:
            time.sleep(_RETRY_S)
            outcome = self._commit(group)
        return outcome

    def _pipeline(self, connection: PoolProxiedConnection) -> AbstractContextManager[object]:
        """Let PostgreSQL's driver send all statements before it waits for their outcomes: one way there and back."""
        if not self._is_postgresql:
            return _NOTHING
        pipeline: AbstractContextManager[object] = connection.driver_connection.pipeline()  # type: ignore[union-attr]
        return pipeline

    def _connect(self) -> PoolProxiedConnection:
        connection = self._engine.raw_connection()
        if self._is_postgresql:
            try:
                claim(connection)
            except Exception:
                connection.invalidate()
                raise
        if self._long_log:
            with suppress(self._driver_error):  # a disk without the room for it may have room for what matters
                _lengthen_log(connection)
            connection.rollback()
        return connection

    def _forget_connection(self) -> None:
        """Let go of a connection that has failed."""
        with suppress(SQLAlchemyError, self._driver_error):
            if self._is_postgresql and self._connection is not None:
                self._connection.invalidate()  # to roll back first would fail again
            else:
                self._disconnect()
        self._connection = None

    def _disconnect(self) -> None:
        """Give the connection back, which undoes what it has not committed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _apply(self, cursor: DBAPICursor, write: Write) -> None:
        statements = self._statements[write.table]
        statement = statements.delete if write.document is None else statements.upsert
        values = {"id": write.record_id, "document": write.document}
        names = statement.positiontup
        cursor.execute(statement.string, values if names is None else tuple(values[name] for name in names))


def _lengthen_log(connection: PoolProxiedConnection) -> None:
    """Let SQLite write more than its cache holds, which goes to the log; whoever calls undoes it."""
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    cursor.execute("CREATE TABLE room (bytes BLOB)")
    cursor.execute("INSERT INTO room VALUES (zeroblob(?))", (_LOG_BYTES,))


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is asked of one table."""

    read: SQLCompiler
    upsert: SQLCompiler
    delete: SQLCompiler


@cache
def _statements(dialect_name: str) -> Mapping[str, _Statements]:
    """Return the statements of each table, compiled once: that takes longer than to read a small database."""
    is_postgresql = dialect_name == "postgresql"
    dialect = postgresql.dialect() if is_postgresql else sqlite.dialect()  # type: ignore[no-untyped-call]
    insert = postgresql.insert if is_postgresql else sqlite.insert
    order = "made" if is_postgresql else "rowid"

    def compiled(statement: Any) -> SQLCompiler:  # noqa: ANN401 - either dialect's statement
        result: SQLCompiler = statement.compile(dialect=dialect)
        return result

    def upsert(table: Table) -> Any:  # noqa: ANN401 - both dialects' inserts, which share no type
        statement = insert(table)
        return statement.on_conflict_do_update(index_elements=["id"], set_={"document": statement.excluded.document})

    return {
        name: _Statements(
            read=compiled(select(table.c.id, table.c.document).order_by(literal_column(order))),
            upsert=compiled(upsert(table)),
            delete=compiled(delete(table).where(table.c.id == bindparam("id"))),
        )
        for name, table in TABLES.items()
    }


def open_engine(url: str) -> Engine:
    """Return an engine; SQLite's in WAL mode with every commit flushed (`synchronous=FULL`).

    Raises:
        DatabaseUnusable: The URL is of another kind of database, or PostgreSQL's driver is not installed.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _not_ours("cannot be read") from None  # it may hold a password
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return postgresql_engine(parsed)
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise _not_ours(f"is of `{parsed.drivername}`, neither of SQLite nor of PostgreSQL")
    engine = create_engine(parsed)

    @event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _not_ours(what: str) -> DatabaseUnusable:
    return DatabaseUnusable(
        f"the database's URL {what}",
        "set `BAKEHOUSE_DATABASE_URL` to `postgresql://USER@HOST/NAME`, or leave it away for SQLite in the home",
    )


def sqlite_url(path: Path) -> str:
    """Return the URL of a database file."""
    return f"sqlite:///{path}"
