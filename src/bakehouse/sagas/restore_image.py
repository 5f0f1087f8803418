"""Make an image of an object that stores one.

Before it begins the image is `pending`, with a name if the request gave one, and an empty mapping. The object is
fetched into a folder; what it says of the image is written down, with its snapshots, `pending` too; then their data is
unpacked. Afterwards the image is `available` and they are `completed`; or it is `failed` with its reason, and they are
gone.

A crash leaves the image `pending`; the next server does not fetch again what was fetched whole.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bakehouse.domain.image import Image, ImageState, image_name_taken
from bakehouse.domain.stored_image import DEVICES_MAX, BadDescription, Restoration, restored
from bakehouse.ports.objects import ObjectAt
from bakehouse.ports.volumes import NoSuchSnapshot
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.transfer_failures import ImageGone, state_reason_of
from bakehouse.sagas.transfers import Transfer

#: The largest object that is fetched. Source: Amazon S3 User Guide, quotas: an object has up to 5 TiB.
_OBJECT_MAX_BYTES: Final = 5 << 40

#: How much of the way fetching the object is; the rest is unpacking it.
_FETCH_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreImage:
    """Parameters."""

    image_id: str
    bucket: str
    key: str
    name: str | None
    """None for the name that the object says."""
    snapshot_tags: Mapping[str, str]


async def unpack(ctx: SagaContext, params: RestoreImage) -> None:
    """Fetch the object, write down what it describes, and make the snapshots."""

    async def work(transfer: Transfer) -> None:
        path = await _object(ctx, params, transfer)
        snapshot_ids = _pending(ctx, params).snapshot_ids or await _describe(ctx, params, path)
        await ctx.disk_files.unpack(path, snapshot_ids, progress=transfer.part(_FETCH_SHARE, 1))

    try:
        if _pending(ctx, params).state is ImageState.AVAILABLE:
            return
        await ctx.transfers.run(params.image_id, work)
    except Exception as err:
        await _note(ctx, params, err)
        raise


async def give_up(ctx: SagaContext, params: RestoreImage) -> None:
    """Remove what was made, and write down that there is no image."""
    ctx.transfers.forget(params.image_id)
    await ctx.objects.clear_workspace(params.image_id)
    image = ctx.store.images.get(params.image_id)
    if image is not None and image.state is not ImageState.PENDING:
        return
    await volumes.delete_snapshots(ctx, _snapshot_ids(params.image_id, DEVICES_MAX))
    async with ctx.store.transaction() as tx:
        image = ctx.store.images.get(params.image_id)
        if image is not None:
            reason = image.state_reason or state_reason_of(Exception())
            tx.put(replace(image, state=ImageState.FAILED, state_reason=reason, block_devices=()))


async def clear_workspace(ctx: SagaContext, params: RestoreImage) -> None:
    """Remove the folder: all that was in it is in the snapshots."""
    await ctx.objects.clear_workspace(params.image_id)


async def mark_available(ctx: SagaContext, params: RestoreImage) -> None:
    """Write down that there is an image, unless it or a snapshot of it was deleted while it was made."""
    image = ctx.store.images.get(params.image_id)
    if image is not None and image.state is ImageState.AVAILABLE:
        return
    try:
        image = _pending(ctx, params)
        _refuse_missing(ctx, image.snapshot_ids)
        async with ctx.store.transaction() as tx:
            for snapshot in volumes.completed(ctx, image.snapshot_ids):
                tx.put(snapshot)
            tx.put(replace(image, state=ImageState.AVAILABLE))
    except Exception as err:
        await _note(ctx, params, err)
        raise
    ctx.transfers.forget(image.id)


RESTORE_IMAGE: Final = Saga(
    name="restore_image",
    params=RestoreImage,
    steps=(
        Step("unpack", do=unpack, undo=give_up),
        Step("clear_workspace", do=clear_workspace),
        Step("mark_available", do=mark_available),  # last, so it needs no undo
    ),
    in_background=True,
)


async def _object(ctx: SagaContext, params: RestoreImage, transfer: Transfer) -> Path:
    """Return the object as a file. One that is in the folder is whole: it appears there when it is."""
    path = await ctx.objects.workspace(params.image_id) / "image.bin"
    if not await asyncio.to_thread(path.exists):
        place = ObjectAt(bucket=params.bucket, key=params.key)
        fetched = transfer.part(0, _FETCH_SHARE)
        await ctx.objects.fetch(place, path, limit_bytes=_OBJECT_MAX_BYTES, progress=fetched)
    return path


async def _describe(ctx: SagaContext, params: RestoreImage, path: Path) -> Sequence[str]:
    """Write down the image that the object describes, and its snapshots; return their ids in the object's order."""
    contents = await ctx.disk_files.contents(path)
    if len(contents.disk_sizes_bytes) > DEVICES_MAX:
        raise BadDescription(f"it holds {len(contents.disk_sizes_bytes)} disks; {DEVICES_MAX} are the most")
    snapshot_ids = _snapshot_ids(params.image_id, len(contents.disk_sizes_bytes))
    pending = _pending(ctx, params)
    made = restored(
        contents.document,
        Restoration(
            pending=pending,
            name=params.name,
            snapshot_tags=params.snapshot_tags,
            snapshot_ids=snapshot_ids,
            disk_sizes_bytes=contents.disk_sizes_bytes,
        ),
    )
    async with ctx.store.transaction() as tx:
        for other in ctx.store.images.by("name")[pending.account_id, pending.region, made.image.name].values():
            if other.id != pending.id:
                raise image_name_taken(made.image.name, other.id)
        tx.put(made.image)
        for snapshot in made.snapshots:
            tx.put(snapshot)
    return snapshot_ids


def _snapshot_ids(image_id: str, count: int) -> list[str]:
    """Return the ids of an image's snapshots: always the same, for who cleans up may find no record of them."""
    return [f"snap-0{hashlib.sha256(f'{image_id}/{number}'.encode()).hexdigest()[:16]}" for number in range(count)]


def _pending(ctx: SagaContext, params: RestoreImage) -> Image:
    image = ctx.store.images.get(params.image_id)
    if image is None:
        raise ImageGone(params.image_id)
    return image


def _refuse_missing(ctx: SagaContext, snapshot_ids: Sequence[str]) -> None:
    for snapshot_id in snapshot_ids:
        if snapshot_id not in ctx.store.snapshots:
            raise NoSuchSnapshot(snapshot_id)


async def _note(ctx: SagaContext, params: RestoreImage, error: Exception) -> None:
    """Write down why the image is not restored."""
    async with ctx.store.transaction() as tx:
        image = ctx.store.images.get(params.image_id)
        if image is not None:
            tx.put(replace(image, state_reason=state_reason_of(error)))
