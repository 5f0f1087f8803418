"""Write a disk as an object: of an image, or of an instance.

Before it begins there is an `active` task that names a snapshot. The disk is written as a file in the task's folder,
and the file becomes an object, which appears when it is whole. Afterwards the task is `completed`; or it failed or was
cancelled, is `deleted` with its reason, and there is neither object nor file. The snapshot of an instance's disk was
taken for the task alone and goes with its end, either way.

A crash leaves the task `active`; the next server writes the file, or sends it, once more.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.domain.export_task import ExportImageTask, ExportInstanceTask
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.disk_files import ExportFormat
from bakehouse.ports.objects import AccessDenied, InvalidObjectName, ObjectAt
from bakehouse.ports.volumes import NoSuchSnapshot
from bakehouse.sagas import transfer_tasks, volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.transfer_tasks import export_task_of
from bakehouse.sagas.transfers import Transfer

#: How much of the way writing the file is: it compresses, sending does not.
_WRITE_SHARE: Final = 0.7

#: How often a snapshot that is being taken is looked at again; that is done in milliseconds.
_LOOK_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportDisk:
    """Parameters."""

    task_id: str


async def write_file(ctx: SagaContext, params: ExportDisk) -> None:
    """Write the disk into the task's folder."""
    task = export_task_of(ctx, params.task_id)

    async def work(transfer: Transfer) -> None:
        await _file(ctx, task, transfer)

    await transfer_tasks.run(ctx, task.id, work)


async def give_up(ctx: SagaContext, params: ExportDisk) -> None:
    """Remove what there is, and write down that there is nothing.

    The object too, whatever the journal says: it may be of a step that was done before a crash and not written down.
    Its key has the task's id, so that it is nobody else's.
    """
    if transfer_tasks.can_be_cleaned_up(ctx, params.task_id):
        task = export_task_of(ctx, params.task_id)
        await ctx.objects.clear_workspace(task.id)
        with suppress(AccessDenied, InvalidObjectName):  # then none was made
            await ctx.objects.delete(_place(task))
        if isinstance(task, ExportInstanceTask):
            await volumes.delete_snapshots(ctx, [task.snapshot_id])
        await transfer_tasks.note_cleaned_up(ctx, task.id)


async def put_object(ctx: SagaContext, params: ExportDisk) -> None:
    """Send the file. It is written again if it is gone: a crash may have come between its end and the journal."""
    task = export_task_of(ctx, params.task_id)

    async def work(transfer: Transfer) -> None:
        path = await _file(ctx, task, transfer)
        transfer.enters("updating")
        await ctx.objects.put(path, _place(task), progress=transfer.part(_WRITE_SHARE, 1))

    await transfer_tasks.run(ctx, task.id, work)


async def clear_workspace(ctx: SagaContext, params: ExportDisk) -> None:
    """Remove the task's folder."""
    await ctx.objects.clear_workspace(params.task_id)


async def finish(ctx: SagaContext, params: ExportDisk) -> None:
    """Write down that the object is there; from here on the task cannot be cancelled. An instance's snapshot goes."""
    if transfer_tasks.is_finished(ctx, params.task_id):
        return
    transfer_tasks.refuse_cancelled(ctx, params.task_id)
    task = export_task_of(ctx, params.task_id)
    snapshot = ctx.store.snapshots.get(task.snapshot_id) if isinstance(task, ExportInstanceTask) else None
    async with ctx.store.transaction() as tx:
        transfer_tasks.put_finished(ctx, tx, task.id)
        if snapshot is not None:
            tx.delete(snapshot)
    ctx.transfers.forget(task.id)


async def delete_bytes(ctx: SagaContext, params: ExportDisk) -> None:
    """Delete the bytes of an instance's snapshot, whose record is gone."""
    task = export_task_of(ctx, params.task_id)
    if isinstance(task, ExportInstanceTask) and transfer_tasks.is_finished(ctx, task.id):
        await ctx.volumes.delete_snapshot(task.snapshot_id)


EXPORT_DISK: Final = Saga(
    name="export_disk",
    params=ExportDisk,
    steps=(
        Step("write_file", do=write_file, undo=give_up),
        Step("put_object", do=put_object),
        Step("clear_workspace", do=clear_workspace),
        Step("finish", do=finish),
        # The task is done by now: what undoes this is to try again.
        Step("delete_bytes", do=delete_bytes, undo=delete_bytes),
    ),
    in_background=True,
)


def _place(task: ExportImageTask | ExportInstanceTask) -> ObjectAt:
    return ObjectAt(bucket=task.bucket, key=task.key)


async def _file(ctx: SagaContext, task: ExportImageTask | ExportInstanceTask, transfer: Transfer) -> Path:
    """Return the disk as a file in the task's folder, where it appears when it is whole."""
    path = await ctx.objects.workspace(task.id) / "disk"
    if not await asyncio.to_thread(path.exists):
        await _snapshot_is_there(ctx, task.snapshot_id)
        transfer.enters("converting")
        unfinished = path.with_suffix(".part")
        file_format = ExportFormat(task.format.lower())
        written = transfer.part(0, _WRITE_SHARE)
        await ctx.disk_files.export(task.snapshot_id, unfinished, file_format=file_format, progress=written)
        await asyncio.to_thread(unfinished.replace, path)
    return path


async def _snapshot_is_there(ctx: SagaContext, snapshot_id: str) -> None:
    """Wait until a snapshot is taken. Of an instance, that is a saga of its own, in the instance's turn."""
    while True:
        snapshot = ctx.store.snapshots.get(snapshot_id)
        if snapshot is None:
            raise NoSuchSnapshot(snapshot_id)
        if snapshot.state is not SnapshotState.PENDING:
            return
        await asyncio.sleep(_LOOK_AGAIN_S)
