"""The store: records in memory, every change on disk before it is acknowledged.

    async with store.transaction() as tx:
        tx.put(replace(volume, state=VolumeState.AVAILABLE))

The body of a transaction never awaits: what it reads cannot change under it, and what it writes is seen by others
only when it is whole. Leaving the block waits until the writes are on disk.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import structlog

from bakehouse.domain.caller import Caller, ClientTokenRecord, client_token_id
from bakehouse.store.database import Batch, Database, Outcome, Write
from bakehouse.store.record_collections import RecordCollections
from bakehouse.store.records import Record, Records
from bakehouse.store.tables import RECORD_TYPES
from bakehouse.store.turns import Turns

_log: Final = structlog.get_logger(__name__)

#: A batch, and who waits for it.
_Pending = tuple[Batch, asyncio.Future[Outcome]]


@dataclass(frozen=True, slots=True)
class _Contents:
    """Everything that the database holds, while nothing of a later epoch has been written."""

    epoch: int
    records: Sequence[tuple[str, str, Record]]


class StoreUnavailable(Exception):
    """The database could not be written; nothing of the transaction holds. The cause is chained."""


class Transaction:
    """Changes that become visible at once and durable together."""

    def __init__(self, store: "Store") -> None:
        """Begin with nothing changed."""
        self._store = store
        self._undo: list[tuple[str, str, Record | None]] = []
        self.writes: list[Write] = []

    def put(self, record: Record) -> None:
        """Make or change a record."""
        self._replace(self._store.table_of(record), record.id, record)

    def delete(self, record: Record) -> None:
        """Remove a record. None of that id: nothing happens."""
        self._replace(self._store.table_of(record), record.id, None)

    def remember(self, caller: Caller, resource_id: str, now: float) -> None:
        """Write down what the caller's client token made, if the request carries one."""
        if caller.idempotency is not None:
            token = caller.idempotency
            record_id = client_token_id(caller, token.operation, token.token)
            self.put(
                ClientTokenRecord(id=record_id, digest=token.digest, resource_id=resource_id, created_at=now),
            )

    def forget(self, caller: Caller) -> None:
        """Take back what `remember` wrote, because what it names has failed: the client may try again."""
        if caller.idempotency is not None:
            record_id = client_token_id(caller, caller.idempotency.operation, caller.idempotency.token)
            record = self._store.client_tokens.get(record_id)
            if record is not None:
                self.delete(record)

    async def __aenter__(self) -> Self:
        self._store.begin()
        return self

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._store.end()
        if error_type is not None:
            self._roll_back()
        elif self.writes:
            await self._store.make_durable(self)

    def _roll_back(self) -> None:
        """Put back what was there; a record that was removed stands last among the others until the next start.

        To know where it stood, each removal would have to look at all records, and few are rolled back.
        """
        for table, record_id, old in reversed(self._undo):
            self._store.records[table].replace(record_id, old)

    def _replace(self, table: str, record_id: str, record: Record | None) -> None:
        old = self._store.records[table].replace(record_id, record)
        self._undo.append((table, record_id, old))
        document = None if record is None else msgspec.json.encode(record)
        self.writes.append(Write(table, record_id, document))


class Store(RecordCollections):
    """All records of a server."""

    def __init__(self, database: Database) -> None:
        """Read everything from the database.

        Raises:
            DatabaseUnusable: PostgreSQL does not answer, or another server uses the database. It is closed.
        """
        self._database = database
        self._turn: list[_Pending] = []
        """What this turn of the event loop has changed: it becomes durable in one commit."""
        self._turns = Turns()
        self._ending_in: asyncio.AbstractEventLoop | None = None
        """The event loop that will end the turn; None when the turn has had no changes."""
        self._open = False
        self._epoch = -1
        """The database's when it was read. Nothing has been, yet."""
        super().__init__()
        self.records: dict[str, Records[Any]] = {name: getattr(self, name) for name in RECORD_TYPES}
        self._tables = {record_type: name for name, record_type in RECORD_TYPES.items()}
        self._decoders = {name: msgspec.json.Decoder(record_type) for name, record_type in RECORD_TYPES.items()}
        try:
            self._adopt(self._read())
        except BaseException:
            database.close()
            raise

    def table_of(self, record: Record) -> str:
        """Return the name of the table that keeps records of this type."""
        return self._tables[type(record)]

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Change records: all or nothing, seen at once, on disk when the block is left.

        An exception in the body changes nothing and goes on. StoreUnavailable: nothing holds, in memory either.
        """
        return Transaction(self)

    def write_behind(self, record: Record) -> None:
        """Change one record and wait for nothing: for what may be lost in a crash, such as a saga's position."""
        transaction = Transaction(self)
        transaction.put(record)
        self._submit(transaction)

    def begin(self) -> None:
        """Take note that a transaction is open. Only transactions call this. RuntimeError: another one is."""
        if self._open:
            msg = "a transaction is open already: its body awaited something, or began another"
            raise RuntimeError(msg)
        self._open = True

    def end(self) -> None:
        """Take note that the open transaction's body is left. Only transactions call this."""
        self._open = False

    async def make_durable(self, transaction: Transaction) -> None:
        """Wait until a transaction is on disk. Only transactions call this. StoreUnavailable: nothing of it holds."""
        batch = Batch(self._epoch, transaction.writes)
        if self._turns.may_go_ahead() and self._database.is_quick([batch]):
            error = self._write_ahead(batch)
        else:
            error = await self._submit(transaction)
        if error is not None:
            msg = "the database could not be written"
            raise StoreUnavailable(msg) from error

    def _write_ahead(self, batch: Batch) -> Outcome:
        """Write a change at once, by itself, and return why it is not on disk, or None."""
        self._count(asyncio.get_running_loop())
        (error,) = self._database.write([batch])
        self._adopt(self._read_after([error]))
        return error

    def _submit(self, transaction: Transaction) -> asyncio.Future[Outcome]:
        """Let a transaction be written with all others of this turn; the future says why it is not on disk, or None.

        A client that goes away cancels its wait, not what it has begun to write.
        """
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Outcome] = loop.create_future()
        self._turn.append((Batch(self._epoch, transaction.writes), written))
        self._count(loop)
        return written

    def _count(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turns.count()
        if self._ending_in is not loop:
            self._ending_in = loop
            loop.call_soon(self._flush, loop)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ending_in = None
        self._turns.end()
        turn, self._turn = self._turn, []
        if not turn:
            return
        batches = [batch for batch, _ in turn]
        if self._database.is_quick(batches):
            outcomes = self._database.write(batches)
            self._settle(turn, outcomes, self._read_after(outcomes))
            return

        def report(outcomes: Sequence[Outcome]) -> None:
            # Read here, by the database's thread: it may take long to find out that a service does not answer.
            contents = self._read_after(outcomes)
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(self._settle, turn, outcomes, contents)

        self._database.write_later(batches, report)

    def _settle(self, turn: Sequence[_Pending], outcomes: Sequence[Outcome], contents: _Contents | None) -> None:
        """Tell everybody. What did not reach the disk leaves memory before anyone hears of it."""
        self._adopt(contents)
        for (_, written), outcome in zip(turn, outcomes, strict=True):
            if not written.done():
                written.set_result(outcome)

    def close(self) -> None:
        """Write what is not yet written and close the database."""
        if self._turn:
            self._database.write_later([batch for batch, _ in self._turn], lambda _outcomes: None)
            self._turn.clear()
        self._database.close()

    def _read_after(self, outcomes: Sequence[Outcome]) -> _Contents | None:
        """Read everything if a commit has failed and nobody has since; None if not, or if it cannot be read."""
        if not any(outcomes) or self._epoch == self._database.epoch:
            return None
        try:
            return self._read()
        except Exception as err:  # noqa: BLE001 - whatever it was, nothing is forgotten, and the next change tries again
            _log.error("records cannot be read again", reason=str(err))
            return None

    def _read(self) -> _Contents:
        epoch = self._database.epoch
        records = [
            (table, record_id, self._decoders[table].decode(document))
            for table, record_id, document in self._database.read_all()
        ]
        return _Contents(epoch, records)

    def _adopt(self, contents: _Contents | None) -> None:
        """Take what was read for what there is. Until then every change since the failure is refused: it is stale."""
        if contents is None or contents.epoch == self._epoch:
            return
        for records in self.records.values():
            records.clear()
        for table, record_id, record in contents.records:
            self.records[table].replace(record_id, record)
        self._epoch = contents.epoch
