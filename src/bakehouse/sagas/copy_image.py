"""Copy an image: a copy of each of its snapshots, and no byte of them but under another key.

Before it begins the copy is `pending`, with the new snapshots, `pending` too, in its mapping. Afterwards it is
`available` and they are `completed`; or it is `failed` with its reason, and they are gone. The source is only read: it
may be deregistered, and its snapshots deleted, at any time. Of snapshots that went before their turn no copy can be
made; those that were copied need their sources no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.image import ImageState
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step

#: Code and message. Source: EC2 API Reference, StateReason.
_STORAGE_FULL: Final = "Server.InsufficientVolumeCapacity: The host has no space left for the snapshots"
_SOURCE_GONE: Final = "Client.InvalidSnapshot.NotFound: A snapshot of the source image has been deleted"
_KEY_GONE: Final = "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state"
_COPY_FAILED: Final = "Server.InternalError: The snapshots could not be copied"
_REASONS: Final = {StorageFull: _STORAGE_FULL, NoSuchSnapshot: _SOURCE_GONE, KeyUnavailable: _KEY_GONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyImage:
    """Parameters."""

    image_id: str
    copies: Mapping[str, str]
    """Id of the new snapshot to that of its source."""


async def copy_snapshots(ctx: SagaContext, params: CopyImage) -> None:
    """Let the volume store copy the snapshots."""
    try:
        await volumes.copy_snapshots(ctx, params.copies)
    except (NoSuchSnapshot, StorageFull, KeyUnavailable) as err:
        async with ctx.store.transaction() as tx:
            image = ctx.store.images.get(params.image_id)
            if image is not None:
                tx.put(replace(image, state_reason=_REASONS[type(err)]))
        raise


async def give_up(ctx: SagaContext, params: CopyImage) -> None:
    """Delete what was copied, and write down that there is no image."""
    await volumes.delete_snapshots(ctx, params.copies)
    async with ctx.store.transaction() as tx:
        image = ctx.store.images.get(params.image_id)
        if image is not None and image.state is ImageState.PENDING:
            devices = tuple(device for device in image.block_devices if device.snapshot_id not in params.copies)
            reason = image.state_reason or _COPY_FAILED
            tx.put(replace(image, state=ImageState.FAILED, state_reason=reason, block_devices=devices))


async def mark_available(ctx: SagaContext, params: CopyImage) -> None:
    """Write down that there is an image. It, or a snapshot of it, may have been deleted while it was made."""
    await volumes.delete_unrecorded(ctx, params.copies)
    async with ctx.store.transaction() as tx:
        for snapshot in volumes.completed(ctx, params.copies):
            tx.put(snapshot)
        image = ctx.store.images.get(params.image_id)
        if image is not None and image.state is ImageState.PENDING:
            tx.put(replace(image, state=ImageState.AVAILABLE))


COPY_IMAGE: Final = Saga(
    name="copy_image",
    params=CopyImage,
    steps=(
        Step("copy_snapshots", do=copy_snapshots, undo=give_up),
        Step("mark_available", do=mark_available),  # last, so it needs no undo
    ),
)

#: The same where every byte is encrypted anew, which takes its time.
ENCRYPT_IMAGE: Final = Saga(name="encrypt_image", params=CopyImage, steps=COPY_IMAGE.steps, in_background=True)
