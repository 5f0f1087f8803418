"""The saga engine: multi-step changes that survive a crash at any point.

A saga is a list of steps. Each step may run twice, and each undo must succeed when its step never ran, ran half, or
ran twice; so the journal may lag behind the truth by a step and is still right. Beginning is journaled in the
transaction that reserves the records; from then on the saga either completes or is undone, in this process or in
the next one. After a failed step the undos run from that step down, and the failure goes to the caller.

Sagas of one subject run one after another, in the order of their beginnings: a TerminateInstances during a launch
is journaled at once and takes its turn when the launch has ended.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, TypeVar

import structlog

from bakehouse.domain.saga import Direction, SagaRecord
from bakehouse.sagas.context import SagaContext
from bakehouse.store.store import Transaction

P = TypeVar("P")

_log: Final = structlog.get_logger(__name__)


#: Whoever enlists a saga runs it once its journal entry is on disk. After this long it has been forgotten.
_CLAIM_S: Final = 60.0


class SagaFailed(Exception):
    """A saga of an earlier server turned back, or one waits for others; the text says why."""


@dataclass(frozen=True, slots=True)
class Step(Generic[P]):
    """One repeatable change, and what takes it back."""

    name: str
    do: Callable[[SagaContext, P], Awaitable[None]]
    undo: Callable[[SagaContext, P], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Saga(Generic[P]):
    """A named list of steps with parameters of one dataclass type: ids and plain values only, stored as JSON."""

    name: str
    params: type[P]
    steps: tuple[Step[P], ...]
    in_background: bool = False
    """Whether it may take minutes: nobody waits for it when a server starts, and one that stops leaves it to the next.
    """
    follows: Callable[[P], Iterable[str]] | None = None
    """Ids of sagas, journaled before it, that it begins; they end, either way, before its first step."""


#: Called with `saga:step:moment`; moments are `before`, `after` (not yet journaled), `undone`.
Checkpoint = Callable[[str], None]


def no_checkpoint(_name: str) -> None:
    """Do nothing: what runs at checkpoints outside tests."""


class SagaEngine:
    """Runs sagas and resumes what an earlier server left unfinished."""

    def __init__(
        self, context: SagaContext, sagas: Mapping[str, Saga[Any]], checkpoint: Checkpoint = no_checkpoint
    ) -> None:
        """Know every saga by its name."""
        self._context = context
        self._sagas = sagas
        self._checkpoint = checkpoint
        self._running: dict[str, asyncio.Task[None]] = {}
        self._latest: dict[str, asyncio.Task[None]] = {}
        """Subject to the saga that began last."""
        self._claims: dict[str, float] = {}
        """Sagas whose enlisters have not come to run them yet, and since when."""
        self._ended: dict[str, asyncio.Task[None]] = {}
        """Claimed sagas that ended before their enlisters came, as a later one of the subject needed its turn."""
        self._noted: list[set[str]] = []

    def enlist(
        self, transaction: Transaction, saga: Saga[P], params: P, *, subject_id: str, holds: Iterable[str] = ()
    ) -> str:
        """Journal a saga's beginning in a transaction and return its id. `run` it once that is durable.

        What it `holds` is found by that, in the journal, until it has ended.
        """
        record = SagaRecord(
            id=f"{saga.name}-{secrets.token_hex(8)}",
            name=saga.name,
            subject_id=subject_id,
            params=json.dumps(asdict(params)),  # type: ignore[call-overload] # P is a dataclass
            holds=tuple(holds),
        )
        transaction.put(record)
        self._claims[record.id] = time.monotonic()
        return record.id

    async def run(self, saga_id: str) -> None:
        """Run a saga to its end. Cancelling the caller does not stop it.

        Raises:
            Exception: What a step raised, after the undos ran. If an undo raised too, the saga stays in the journal
                and is taken up again by the next `resume`.
        """
        await asyncio.shield(self.begin(saga_id))

    def begin(self, saga_id: str) -> asyncio.Task[None]:
        """Start a saga, or return the task that runs it already, or ran it: who enlisted it hears of its outcome.

        Sagas of its subject that were journaled before it are started first: who enlisted them may not have come to it.
        """
        self._claims.pop(saga_id, None)
        ended = self._ended.pop(saga_id, None)
        if ended is not None:
            return ended
        return self._begin_in_order(saga_id)

    def _begin_in_order(self, saga_id: str) -> asyncio.Task[None]:
        subject_id = self._context.store.sagas[saga_id].subject_id
        for earlier_id in list(self._context.store.sagas.by("subject")[subject_id]):
            if earlier_id == saga_id:
                break
            self._start(earlier_id, subject_id)
        return self._start(saga_id, subject_id)

    def _start(self, saga_id: str, subject_id: str) -> asyncio.Task[None]:
        task = self._running.get(saga_id)
        if task is None:
            followed = self._followed(saga_id)
            before = [self._begin_in_order(it) for it in followed]
            if (previous := self._latest.get(subject_id)) is not None:
                before.append(previous)
            task = asyncio.create_task(self._in_turn(saga_id, before, followed), name=saga_id)
            self._running[saga_id] = self._latest[subject_id] = task
            for noted in self._noted:
                noted.add(subject_id)
            task.add_done_callback(lambda done: self._forget(saga_id, subject_id, done))
        return task

    async def resume(self) -> dict[str, Exception]:
        """Run every journaled saga that is not running; return those that failed, with the reasons.

        Those that run in the background are begun and not waited for.
        """
        self._forget_claims()
        resumed = [
            saga for saga in self._context.store.sagas if saga.id not in self._running and not self._is_claimed(saga.id)
        ]
        pending = [saga.id for saga in resumed if not self._sagas[saga.name].in_background]
        for saga in resumed:
            if self._sagas[saga.name].in_background:
                self.begin(saga.id)
        outcomes = await asyncio.gather(*(self.begin(saga_id) for saga_id in pending), return_exceptions=True)
        return {
            saga_id: outcome
            for saga_id, outcome in zip(pending, outcomes, strict=True)
            if isinstance(outcome, Exception)
        }

    def _is_claimed(self, saga_id: str) -> bool:
        """Tell whether somebody enlisted a saga just now and is about to run it."""
        claimed_at = self._claims.get(saga_id)
        return claimed_at is not None and time.monotonic() - claimed_at < _CLAIM_S

    def _forget_claims(self) -> None:
        """Forget the claims of those who will not come any more: their transactions failed, or they were cancelled."""
        for saga_id in [it for it in self._claims if not self._is_claimed(it)]:
            del self._claims[saga_id]
            self._ended.pop(saga_id, None)

    def is_changing(self, subject_id: str) -> bool:
        """Tell whether a saga is under way for a resource."""
        return bool(self._context.store.sagas.by("subject")[subject_id])

    @contextmanager
    def noting_changes(self) -> Iterator[AbstractSet[str]]:
        """Give a set of the resources for which a saga is under way, or was at any moment since the block began.

        What was seen of one of them may be what a saga has made, and undone again, meanwhile.
        """
        noted = set(self._latest)
        self._noted.append(noted)
        try:
            yield noted
        finally:
            self._noted = [it for it in self._noted if it is not noted]

    async def quiet(self, subject_id: str) -> None:
        """Wait until no saga of a resource is under way in this process, whatever their outcome."""
        while (task := self._latest.get(subject_id)) is not None:
            await asyncio.wait([task])

    async def suspend(self) -> None:
        """Cut short what runs in the background; it stays in the journal. For a server that is about to stop."""
        background = [
            task
            for saga_id, task in self._running.items()
            if (record := self._context.store.sagas.get(saga_id)) is not None and self._sagas[record.name].in_background
        ]
        for task in background:
            task.cancel()
        if background:
            await asyncio.wait(background)

    async def settle(self) -> None:
        """Wait for the sagas under way, whatever their outcome."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    def _followed(self, saga_id: str) -> list[str]:
        """Return the sagas that one follows and that have not ended."""
        record = self._context.store.sagas[saga_id]
        saga = self._sagas[record.name]
        if saga.follows is None:
            return []
        return [it for it in saga.follows(saga.params(**json.loads(record.params))) if it in self._context.store.sagas]

    async def _in_turn(self, saga_id: str, before: Sequence[asyncio.Task[None]], followed: Sequence[str]) -> None:
        if before:
            await asyncio.wait(before)
        if any(it in self._context.store.sagas for it in followed):
            # It stays in the journal, as they do, and is taken up again with them.
            msg = f"{saga_id} follows sagas that could not be undone"
            raise SagaFailed(msg)
        await self._run(self._context.store.sagas[saga_id])

    def _forget(self, saga_id: str, subject_id: str, task: asyncio.Task[None]) -> None:
        del self._running[saga_id]
        if saga_id in self._claims:
            self._ended[saga_id] = task
        if self._latest.get(subject_id) is task:  # one that waited for it may have been cut short before it
            del self._latest[subject_id]
        # Background sagas have nobody else to hear of it.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("a saga failed", saga=saga_id, subject=subject_id, error=str(error))

    async def _run(self, record: SagaRecord) -> None:
        saga = self._sagas[record.name]
        params = saga.params(**json.loads(record.params))
        failure: Exception | None = None
        if record.direction is Direction.FORWARD:
            record, failure = await self._forward(saga, params, record)
        else:
            failure = SagaFailed(record.error)
        if failure is not None:
            await self._backward(saga, params, record)
        async with self._context.store.transaction() as tx:
            tx.delete(record)
        if failure is not None:
            raise failure

    async def _forward(self, saga: Saga[P], params: P, record: SagaRecord) -> tuple[SagaRecord, Exception | None]:
        store = self._context.store
        while record.position < len(saga.steps):
            step = saga.steps[record.position]
            self._checkpoint(f"{saga.name}:{step.name}:before")
            try:
                await step.do(self._context, params)
            except Exception as err:  # noqa: BLE001 - whatever it was, it is undone and then handed on
                record = record.turned_back(f"{step.name}: {err}")
                async with store.transaction() as tx:
                    tx.put(record)
                return record, err
            self._checkpoint(f"{saga.name}:{step.name}:after")
            record = record.advanced()
            store.write_behind(record)
        return record, None

    async def _backward(self, saga: Saga[P], params: P, record: SagaRecord) -> None:
        while record.position >= 0:
            step = saga.steps[record.position]
            if step.undo is not None:
                await step.undo(self._context, params)
            self._checkpoint(f"{saga.name}:{step.name}:undone")
            record = record.advanced()
            self._context.store.write_behind(record)
