"""What the records of imports and exports go through: cancelled, failed, cleaned up, finished."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bakehouse.domain.export_task import ExportImageTask, ExportInstanceTask
from bakehouse.domain.import_task import ImportImageTask, ImportSnapshotTask
from bakehouse.domain.task_status import TRANSITIONS, TaskEvent, TaskStatus
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.transfer_failures import reason_of
from bakehouse.sagas.transfers import Transfer, TransferCancelled
from bakehouse.store.store import Transaction

_CANCELLED: Final = "ClientError: The task was cancelled"

Task = ImportImageTask | ImportSnapshotTask | ExportImageTask | ExportInstanceTask


def import_task_of(ctx: SagaContext, task_id: str) -> ImportImageTask | ImportSnapshotTask:
    """Return the record of an import, of either kind."""
    return ctx.store.import_image_tasks.get(task_id) or ctx.store.import_snapshot_tasks[task_id]


def export_task_of(ctx: SagaContext, task_id: str) -> ExportImageTask | ExportInstanceTask:
    """Return the record of an export, of either kind."""
    return ctx.store.export_image_tasks.get(task_id) or ctx.store.export_instance_tasks[task_id]


async def run(ctx: SagaContext, task_id: str, work: Callable[[Transfer], Awaitable[None]]) -> None:
    """Do a task's work in its turn, unless it is done: then this is a repetition. Why it fails is written down.

    Raises:
        TransferCancelled: The task was cancelled, before or while this ran.
        Exception: What the work raised.
    """
    if is_finished(ctx, task_id):
        return
    refuse_cancelled(ctx, task_id)
    try:
        await ctx.transfers.run(task_id, work)
    except Exception as err:
        await note(ctx, task_id, err)
        raise


def refuse_cancelled(ctx: SagaContext, task_id: str) -> None:
    """Raise TransferCancelled for a task that is not active any more."""
    if _task(ctx, task_id).status is not TaskStatus.ACTIVE:
        raise TransferCancelled(task_id)


async def note(ctx: SagaContext, task_id: str, error: Exception) -> None:
    """Write down why a task fails; one that was cancelled has its reason already."""
    async with ctx.store.transaction() as tx:
        task = _task(ctx, task_id)
        if task.status is TaskStatus.ACTIVE and task.message is None:
            tx.put(replace(task, message=reason_of(error)))


def can_be_cleaned_up(ctx: SagaContext, task_id: str) -> bool:
    """Tell whether a task has not ended yet."""
    return (_task(ctx, task_id).status, TaskEvent.CLEANED_UP) in TRANSITIONS


async def note_cleaned_up(ctx: SagaContext, task_id: str) -> None:
    """Write down that nothing is left of a task that failed or was cancelled."""
    ctx.transfers.forget(task_id)
    async with ctx.store.transaction() as tx:
        task = _task(ctx, task_id)
        status = TRANSITIONS[task.status, TaskEvent.CLEANED_UP]
        tx.put(replace(task, status=status, message=task.message or _CANCELLED, ended_at=ctx.now()))


def put_finished(ctx: SagaContext, tx: Transaction, task_id: str) -> None:
    """Write down in a transaction that a task is done."""
    task = _task(ctx, task_id)
    tx.put(replace(task, status=TRANSITIONS[task.status, TaskEvent.FINISHED], ended_at=ctx.now()))


def is_finished(ctx: SagaContext, task_id: str) -> bool:
    """Tell whether a task is done: then its last step is a repetition."""
    return _task(ctx, task_id).status is TaskStatus.COMPLETED


def _task(ctx: SagaContext, task_id: str) -> Task:
    return import_task_of(ctx, task_id) if task_id.startswith("import-") else export_task_of(ctx, task_id)
