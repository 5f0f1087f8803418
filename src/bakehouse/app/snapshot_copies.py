"""Copies of snapshots: the caller's own, within a region or from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bakehouse.app.context import AppContext
from bakehouse.app.encryption import copy_key, prepare_default_key
from bakehouse.app.snapshots import check_description, completed_snapshot, snapshot_gone
from bakehouse.domain.caller import Caller
from bakehouse.domain.copying import check_duration, check_source_region
from bakehouse.domain.ids import new_id
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.snapshot import NO_VOLUME, Snapshot, SnapshotState
from bakehouse.domain.tags import check_tags
from bakehouse.domain.volume import storage_full
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull
from bakehouse.sagas.copy_snapshot import COPY_SNAPSHOT, CopySnapshot
from bakehouse.sagas.encrypt_snapshot import ENCRYPT_SNAPSHOT


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotCopyRequest:
    """What CopySnapshot asks for. The region of the copy is the caller's."""

    source_snapshot_id: str
    source_region: str
    description: str = ""
    completion_duration_minutes: int | None = None
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)


class SnapshotCopies:
    """Use cases on snapshots that are to be copied."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def copy(self, caller: Caller, request: SnapshotCopyRequest) -> Snapshot:
        """Copy a snapshot that the caller may make volumes from; the copy is the caller's, and `completed` afterwards.

        One that is encrypted with another key than its source is `pending` until all of it was encrypted.

        Refuses a source that the caller does not see (InvalidSnapshot.NotFound) or that is not complete
        (IncorrectState). A full host: InsufficientVolumeCapacity, and there is no copy.
        """
        context = self._context
        check_source_region(request.source_region)
        check_duration(request.completion_duration_minutes, "completionDurationMinutes")
        check_description(request.description)
        check_tags(request.tags)
        await prepare_default_key(context, caller)
        source = completed_snapshot(context, replace(caller, region=request.source_region), request.source_snapshot_id)
        copy = pending_copy(
            context,
            caller,
            source,
            description=request.description,
            completion_duration_minutes=request.completion_duration_minutes,
            key=copy_key(context, caller, request.encryption, source),
            tags=request.tags,
        )
        params = CopySnapshot(source_id=source.id, snapshot_id=copy.id)
        is_encrypted_anew = copy.kms_key_id != source.kms_key_id
        async with context.store.transaction() as tx:
            tx.put(copy)
            saga = ENCRYPT_SNAPSHOT if is_encrypted_anew else COPY_SNAPSHOT
            saga_id = context.sagas.enlist(tx, saga, params, subject_id=copy.id)
        if is_encrypted_anew:
            context.sagas.begin(saga_id)  # That it failed is told by its state, as on EC2.
            return copy
        try:
            await context.sagas.run(saga_id)
        except StorageFull as err:
            raise storage_full() from err
        except NoSuchSnapshot as err:
            raise snapshot_gone(context, replace(caller, region=source.region), source.id) from err
        return copy


def pending_copy(
    context: AppContext,
    caller: Caller,
    source: Snapshot,
    *,
    description: str,
    completion_duration_minutes: int | None,
    key: str | None,
    tags: Mapping[str, str],
) -> Snapshot:
    """Return the record of a copy that is about to be made, the caller's."""
    return Snapshot(
        id=new_id("snapshot"),
        account_id=caller.account_id,
        region=caller.region,
        volume_id=NO_VOLUME,
        volume_size_gib=source.volume_size_gib,
        description=description,
        state=SnapshotState.PENDING,
        started_at=context.now().replace(microsecond=0),
        encrypted=key is not None,
        kms_key_id=key,
        full_size_bytes=source.full_size_bytes,
        transfer_type="standard" if completion_duration_minutes is None else "time-based",
        completion_duration_minutes=completion_duration_minutes,
        tags=dict(tags),
    )
