"""Copies of images: the caller's own, within a region or from one to another."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bakehouse.app.encryption import copy_key, prepare_default_key
from bakehouse.app.image_catalogue import ImageCatalogue, check_new_image
from bakehouse.app.public_access import may_read
from bakehouse.app.snapshot_copies import pending_copy
from bakehouse.domain.caller import Caller
from bakehouse.domain.copying import (
    check_duration,
    check_source_region,
    image_storage_denied,
    image_storage_unavailable,
)
from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState, image_unavailable
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.domain.tags import check_tags, merged
from bakehouse.sagas.copy_image import COPY_IMAGE, ENCRYPT_IMAGE, CopyImage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCopyRequest:
    """What CopyImage asks for. The region of the copy is the caller's."""

    source_image_id: str
    source_region: str
    name: str
    description: str = ""
    copy_tags: bool = False
    completion_duration_minutes: int | None = None
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)
    snapshot_tags: Mapping[str, str] = field(default_factory=dict)


class ImageCopies(ImageCatalogue):
    """Use cases on images that are to be copied."""

    async def copy(self, caller: Caller, request: ImageCopyRequest) -> Image:
        """Copy an image that the caller may launch and whose snapshots the caller may read.

        The copy and its snapshots are the caller's; nobody else may launch it, whoever may launch the source. It is
        `available` or `failed` when this returns, unless bytes are encrypted anew, which goes on then; and it is
        returned as it was when it was reserved: `pending`.

        Refuses a name in use (InvalidAMIName.Duplicate), a source that the caller does not see (InvalidAMIID.NotFound)
        or that is not available (InvalidAMIID.Unavailable), and snapshots that are not shared with the caller, or
        not complete (InvalidRequest).
        """
        context = self._context
        check_source_region(request.source_region)
        check_duration(request.completion_duration_minutes, "snapshotCopyCompletionDurationMinutes")
        await prepare_default_key(context, caller)
        check_new_image(context, caller, request.name, request.description, request.tags)
        check_tags(request.snapshot_tags)
        (source,) = self._of_ids(replace(caller, region=request.source_region), [request.source_image_id])
        if source.state is not ImageState.AVAILABLE:
            raise image_unavailable(source.id)
        image_id = new_id("image")
        copies = {
            snapshot.id: self._copy_of(caller, snapshot, source.id, image_id, request)
            for snapshot in self._storage(caller, source)
        }
        image = self._image_copy(caller, source, image_id, copies, request)
        is_encrypted_anew = any(
            copy.kms_key_id != context.store.snapshots[source_id].kms_key_id for source_id, copy in copies.items()
        )
        params = CopyImage(image_id=image_id, copies={copy.id: source_id for source_id, copy in copies.items()})
        async with context.store.transaction() as tx:
            tx.put(image)
            for copy in copies.values():
                tx.put(copy)
            tx.remember(caller, image_id, context.now().timestamp())
            saga = ENCRYPT_IMAGE if is_encrypted_anew else COPY_IMAGE
            saga_id = context.sagas.enlist(tx, saga, params, subject_id=image_id)
        # Whether it failed is told by the image's state, as on EC2.
        copying = context.sagas.begin(saga_id)
        if not is_encrypted_anew:
            await asyncio.wait([copying])
        return image

    def _storage(self, caller: Caller, source: Image) -> list[Snapshot]:
        """Return the snapshots of an image, or refuse to copy it."""
        found = [self._context.store.snapshots.get(snapshot_id) for snapshot_id in source.snapshot_ids]
        snapshots = [snapshot for snapshot in found if snapshot is not None]
        if not all(may_read(self._context, caller.account_id, snapshot) for snapshot in snapshots):
            raise image_storage_denied()
        if len(snapshots) < len(found) or not all(_is_ready(it) for it in snapshots):
            raise image_storage_unavailable()
        return snapshots

    def _copy_of(
        self, caller: Caller, snapshot: Snapshot, source_image_id: str, image_id: str, request: ImageCopyRequest
    ) -> Snapshot:
        return pending_copy(
            self._context,
            caller,
            snapshot,
            # The words of EC2.
            description=f"Copied for DestinationAmi {image_id} from SourceAmi {source_image_id} for SourceSnapshot "
            f"{snapshot.id}. Task created on {int(self._context.now().timestamp() * 1000):,}.",
            completion_duration_minutes=request.completion_duration_minutes,
            key=copy_key(self._context, caller, request.encryption, snapshot),
            tags=request.snapshot_tags,
        )

    def _image_copy(
        self, caller: Caller, source: Image, image_id: str, copies: Mapping[str, Snapshot], request: ImageCopyRequest
    ) -> Image:
        """Describe a copy. Who may launch it, when it is deprecated and how it is protected stay with the source."""
        # Source: EC2 User Guide, "Copy an AMI", Tags: only those that the copier gave the source.
        kept = source.tags_for(caller.account_id) if request.copy_tags else {}
        return Image(
            id=image_id,
            account_id=caller.account_id,
            region=caller.region,
            name=request.name,
            description=request.description,
            state=ImageState.PENDING,
            architecture=source.architecture,
            root_device_name=source.root_device_name,
            block_devices=tuple(_over_copies(device, copies) for device in source.block_devices),
            created_at=self._context.now().replace(microsecond=0),
            boot_mode=source.boot_mode,
            tpm_support=source.tpm_support,
            uefi_data=source.uefi_data,
            disk_bus=source.disk_bus,
            virtualization_type=source.virtualization_type,
            ena_support=source.ena_support,
            sriov_net_support=source.sriov_net_support,
            imds_support=source.imds_support,
            platform_details=source.platform_details,
            source_image_id=source.id,
            source_image_region=source.region,
            watermarks=source.watermarks,
            instance_type_specification=source.instance_type_specification,
            tags=merged(kept, request.tags),
        )


def _is_ready(snapshot: Snapshot) -> bool:
    return snapshot.state is SnapshotState.COMPLETED and snapshot.tier is StorageTier.STANDARD


def _over_copies(device: BlockDevice, copies: Mapping[str, Snapshot]) -> BlockDevice:
    if device.snapshot_id is None:
        return device
    copy = copies[device.snapshot_id]
    return replace(device, snapshot_id=copy.id, encrypted=copy.encrypted)
