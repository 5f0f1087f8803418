"""Store an image as one object: what is said of it, and its snapshots.

Before it begins there is a task `InProgress`. The object is packed as a file in the task's folder and sent; it appears
when it is whole. Afterwards the task is `Completed`; or `Failed` with its reason, and the bucket is as it was. An
object that is there already is not touched: there can be one of an image in a bucket.

A crash leaves the task `InProgress`; the next server packs the file, or sends it, once more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bakehouse.domain.image import Image
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.store_image_task import StoreImageTask, StoreTaskState
from bakehouse.domain.stored_image import described
from bakehouse.ports.objects import AccessDenied, InvalidObjectName, ObjectAt
from bakehouse.ports.volumes import NoSuchSnapshot
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.transfer_failures import ImageGone, ObjectInTheWay, reason_of
from bakehouse.sagas.transfers import Transfer

#: How much of the way packing is: it compresses, sending does not.
_PACK_SHARE: Final = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreImage:
    """Parameters."""

    task_id: str


async def pack(ctx: SagaContext, params: StoreImage) -> None:
    """Pack the image into a file in the task's folder."""
    task = ctx.store.store_image_tasks[params.task_id]

    async def work(transfer: Transfer) -> None:
        await _file(ctx, task, transfer)

    await _run(ctx, task, work)


async def give_up(ctx: SagaContext, params: StoreImage) -> None:
    """Remove the file, and the object if it is the task's own, and write down that the task failed."""
    task = ctx.store.store_image_tasks[params.task_id]
    if task.state is not StoreTaskState.IN_PROGRESS:
        return
    await ctx.objects.clear_workspace(task.id)
    if task.has_place:
        with suppress(AccessDenied, InvalidObjectName):  # then none was made
            await ctx.objects.delete(_place(task))
    async with ctx.store.transaction() as tx:
        task = ctx.store.store_image_tasks[task.id]
        reason = task.failure_reason or reason_of(Exception())
        tx.put(replace(task, state=StoreTaskState.FAILED, failure_reason=reason, ended_at=ctx.now()))
    ctx.transfers.forget(task.id)


async def put_object(ctx: SagaContext, params: StoreImage) -> None:
    """Send the file, if there is nothing in its place that was not this task's.

    The file is packed again if it is gone: a crash may have come between its end and the journal.
    """
    task = ctx.store.store_image_tasks[params.task_id]

    async def work(transfer: Transfer) -> None:
        path = await _file(ctx, task, transfer)
        if not task.has_place:
            await _take_place(ctx, task)
        sent = transfer.part(_PACK_SHARE, 1)
        await ctx.objects.put(path, _place(task), tags=task.object_tags, progress=sent)

    await _run(ctx, task, work)


async def clear_workspace(ctx: SagaContext, params: StoreImage) -> None:
    """Remove the task's folder."""
    await ctx.objects.clear_workspace(params.task_id)


async def finish(ctx: SagaContext, params: StoreImage) -> None:
    """Write down that the object is there."""
    task = ctx.store.store_image_tasks[params.task_id]
    async with ctx.store.transaction() as tx:
        tx.put(replace(task, state=StoreTaskState.COMPLETED, ended_at=ctx.now()))
    ctx.transfers.forget(task.id)


STORE_IMAGE: Final = Saga(
    name="store_image",
    params=StoreImage,
    steps=(
        Step("pack", do=pack, undo=give_up),
        Step("put_object", do=put_object),
        Step("clear_workspace", do=clear_workspace),
        Step("finish", do=finish),  # last, so it needs no undo
    ),
    in_background=True,
)


def _contents(ctx: SagaContext, task: StoreImageTask) -> tuple[Image, list[Snapshot]]:
    """Return the image and its snapshots, with those tags that the one who stores it may see: its own."""
    image = ctx.store.images.get(task.image_id)
    if image is None:
        raise ImageGone(task.image_id)
    snapshots = []
    for snapshot_id in image.snapshot_ids:
        snapshot = ctx.store.snapshots.get(snapshot_id)
        if snapshot is None:
            raise NoSuchSnapshot(snapshot_id)
        snapshots.append(snapshot if snapshot.account_id == task.account_id else replace(snapshot, tags={}))
    return (image if image.account_id == task.account_id else replace(image, tags={})), snapshots


async def _take_place(ctx: SagaContext, task: StoreImageTask) -> None:
    """Make sure that the place is free, and write down that what is there from now on is the task's."""
    if await ctx.objects.exists(_place(task)):
        raise ObjectInTheWay(task.key)
    async with ctx.store.transaction() as tx:
        tx.put(replace(ctx.store.store_image_tasks[task.id], has_place=True))


async def _run(ctx: SagaContext, task: StoreImageTask, work: Callable[[Transfer], Awaitable[None]]) -> None:
    """Do a part of the work in the task's turn, unless all of it is done. Why it fails is written down."""
    if task.state is StoreTaskState.COMPLETED:
        return
    try:
        await ctx.transfers.run(task.id, work)
    except Exception as err:
        async with ctx.store.transaction() as tx:
            tx.put(replace(ctx.store.store_image_tasks[task.id], failure_reason=reason_of(err)))
        raise


def _place(task: StoreImageTask) -> ObjectAt:
    return ObjectAt(bucket=task.bucket, key=task.key)


async def _file(ctx: SagaContext, task: StoreImageTask, transfer: Transfer) -> Path:
    """Return the packed image as a file in the task's folder, where it appears when it is whole."""
    path = await ctx.objects.workspace(task.id) / "image.bin"
    if not await asyncio.to_thread(path.exists):
        image, snapshots = _contents(ctx, task)
        unfinished = path.with_suffix(".part")
        packed = transfer.part(0, _PACK_SHARE)
        snapshot_ids = [snapshot.id for snapshot in snapshots]
        await ctx.disk_files.pack(unfinished, described(image, snapshots), snapshot_ids, progress=packed)
        await asyncio.to_thread(unfinished.replace, path)
    return path
