"""Snapshots by blocks: what the EBS direct APIs do.

A snapshot that StartSnapshot made is `pending` until it is completed. One that nobody writes to for its timeout, or
whose blocks a power cut took, becomes `error`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bakehouse.app.account_settings import settings_of
from bakehouse.app.context import AppContext
from bakehouse.app.encryption import chosen_key, prepare_default_key
from bakehouse.app.public_access import may_read
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.ids import new_id
from bakehouse.domain.kms_key import Encryption, key_unusable
from bakehouse.domain.snapshot import NO_VOLUME, Snapshot, SnapshotState
from bakehouse.domain.snapshot_block import (
    BLOCKS_PER_GIB,
    DEFAULT_TIMEOUT_MINUTES,
    VOLUME_SIZE_MAX_GIB,
    SnapshotUpload,
    block_conflict,
    block_outside,
    host_full,
    parameter_invalid,
    snapshot_not_complete,
    snapshot_not_there,
    snapshot_not_written,
    snapshot_unreadable,
    snapshots_unrelated,
    tag_invalid,
    volume_size_invalid,
)
from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.domain.tags import check_tags
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.snapshot_blocks import BlocksUnreadable, NoSuchUpload, UnrelatedSnapshots, WrongBlocks
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull
from bakehouse.sagas.complete_snapshot import COMPLETE_SNAPSHOT, CompleteSnapshot
from bakehouse.sagas.start_snapshot import START_SNAPSHOT, StartSnapshot
from bakehouse.sagas.volumes import GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """What StartSnapshot asks for."""

    volume_size_gib: int
    parent_snapshot_id: str | None = None
    description: str = ""
    timeout_minutes: int = DEFAULT_TIMEOUT_MINUTES
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockWrite:
    """What PutSnapshotBlock brings."""

    snapshot_id: str
    index: int
    data: bytes
    digest: bytes
    progress: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBlocks:
    """The blocks of a snapshot; of a comparison also those that the first snapshot has. Both ascending."""

    snapshot: Snapshot
    indexes: Sequence[int]
    in_first: Sequence[int] = ()


@dataclass(slots=True)
class _Writing:
    """A block that is being written: what it is to be, and by how many requests."""

    digest: bytes
    writers: int = 0


class SnapshotBlocks:
    """Use cases on snapshots by blocks."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context
        self._writing: dict[tuple[str, int], _Writing] = {}
        self._completing: set[str] = set()

    def now(self) -> datetime:
        """Return the present time, by which tokens expire."""
        return self._context.now()

    async def list(self, caller: Caller, snapshot_id: str) -> ListedBlocks:
        """Return the blocks of a snapshot that have data."""
        snapshot = self._readable(caller, snapshot_id)
        try:
            indexes = await self._context.volumes.blocks.blocks(snapshot_id)
        except NoSuchSnapshot as err:
            raise snapshot_not_there(snapshot_id) from err
        except BlocksUnreadable as err:
            raise snapshot_unreadable(snapshot_id) from err
        return ListedBlocks(snapshot=snapshot, indexes=indexes)

    async def compare(self, caller: Caller, first_id: str, second_id: str) -> ListedBlocks:
        """Return the blocks in which two snapshots of one lineage may differ. Refuses others: UNRELATED_SNAPSHOTS."""
        first, second = self._readable(caller, first_id), self._readable(caller, second_id)
        blocks = self._context.volumes.blocks
        try:
            indexes = await blocks.changed_blocks(first.id, second.id)
            in_first = await blocks.blocks(first.id)
        except NoSuchSnapshot as err:
            raise snapshot_not_there(str(err)) from err
        except UnrelatedSnapshots as err:
            raise snapshots_unrelated(first_id, second_id) from err
        except BlocksUnreadable as err:
            raise snapshot_unreadable(second_id) from err
        return ListedBlocks(snapshot=second, indexes=indexes, in_first=in_first)

    async def read(self, caller: Caller, snapshot_id: str, index: int) -> tuple[bytes, bytes]:
        """Return a block of a snapshot and its SHA-256 digest."""
        self._readable(caller, snapshot_id)
        try:
            return await self._context.volumes.blocks.read(snapshot_id, index)
        except NoSuchSnapshot as err:
            raise snapshot_not_there(snapshot_id) from err
        except BlocksUnreadable as err:
            raise snapshot_unreadable(snapshot_id) from err

    async def start(self, caller: Caller, request: UploadRequest) -> Snapshot:
        """Begin a snapshot and return it, `pending`. The client token's maker, too."""
        await prepare_default_key(self._context, caller)
        parent = self._parent(caller, request)
        key = self._key(caller, request.encryption, parent)
        try:
            check_tags(request.tags)
        except Ec2Error as err:
            raise tag_invalid(err.message) from err
        now = self._context.now()
        snapshot = Snapshot(
            id=new_id("snapshot"),
            account_id=caller.account_id,
            region=caller.region,
            volume_id=NO_VOLUME,
            volume_size_gib=request.volume_size_gib,
            description=request.description,
            state=SnapshotState.PENDING,
            started_at=now.replace(microsecond=0),
            encrypted=key is not None,
            kms_key_id=key,
            upload=SnapshotUpload(
                parent_snapshot_id=request.parent_snapshot_id, timeout_minutes=request.timeout_minutes
            ),
            tags=dict(request.tags),
        )
        params = StartSnapshot(
            snapshot_id=snapshot.id,
            size_bytes=request.volume_size_gib * GIB,
            parent_id=None if parent is None else parent.id,
        )
        async with self._context.store.transaction() as tx:
            tx.put(snapshot)
            tx.remember(caller, snapshot.id, now.timestamp())
            saga_id = self._context.sagas.enlist(tx, START_SNAPSHOT, params, subject_id=snapshot.id)
        await self._run_start(caller, saga_id, params)
        return snapshot

    def _key(self, caller: Caller, wanted: Encryption, parent: Snapshot | None) -> str | None:
        """Return the key of a snapshot to be written: a parent's own where there is one.

        Source: EBS User Guide, "Encryption outcomes for EBS direct APIs".
        """
        by_default = settings_of(self._context, caller.account_id, caller.region).ebs_encrypted_by_default
        if parent is None:
            if by_default and wanted.encrypted is False:
                raise parameter_invalid("Encrypted cannot be false: the account encrypts all that it makes.")
            if wanted.key is not None and not (wanted.encrypted or by_default):
                raise parameter_invalid("KmsKeyArn requires Encrypted.")
            wanted = replace(wanted, encrypted=True if wanted.key is not None else wanted.encrypted)
            try:
                return chosen_key(self._context, caller, wanted)
            except Ec2Error as err:
                raise parameter_invalid(err.message) from err
        if wanted.encrypted is not None or wanted.key is not None:
            raise parameter_invalid("Encrypted and KmsKeyArn cannot be given together with ParentSnapshotId.")
        if by_default and not parent.encrypted:
            raise parameter_invalid("The parent snapshot is not encrypted. Copy it first, encrypted.")
        return chosen_key(self._context, caller, wanted, parent)

    def started(self, caller: Caller, snapshot_id: str) -> Snapshot:
        """Return what a client token made; it may be gone."""
        return self._own(caller, snapshot_id)

    async def write(self, caller: Caller, block: BlockWrite) -> None:
        """Write a block into a snapshot that is pending. Refuses what is no block of it, or not what its digest says.

        The same block may come again, with the same data also at the same time.
        """
        snapshot = self._written(caller, block.snapshot_id)
        if snapshot.id in self._completing:
            raise snapshot_not_written(snapshot.id)
        if not 0 <= block.index < snapshot.volume_size_gib * BLOCKS_PER_GIB:
            raise block_outside(block.index, snapshot.volume_size_gib)
        key = (snapshot.id, block.index)
        writing = self._writing.setdefault(key, _Writing(block.digest))
        if writing.digest != block.digest:
            raise block_conflict(block.index)
        writing.writers += 1
        try:
            await self._context.volumes.blocks.write(snapshot.id, block.index, block.data, digest=block.digest)
        except NoSuchUpload as err:
            raise snapshot_not_written(snapshot.id) from err
        except WrongBlocks as err:
            raise parameter_invalid("The checksum is not that of the block's data.") from err
        except KeyUnavailable as err:
            raise snapshot_unreadable(snapshot.id) from err
        except StorageFull as err:
            raise host_full() from err
        finally:
            writing.writers -= 1
            if not writing.writers:
                del self._writing[key]
        self._show_progress(snapshot.id, block.progress)

    async def complete(
        self, caller: Caller, snapshot_id: str, *, changed_blocks: int, digest: bytes | None
    ) -> Snapshot:
        """Complete a snapshot and return it, `completed`; once more with the same count, the same.

        Refuses another count than that of the blocks that were written, and another aggregated digest. Once they are
        counted none is written any more, unless it fails.
        """
        snapshot = self._own(caller, snapshot_id)
        upload = snapshot.upload
        if upload is not None and snapshot.state is SnapshotState.COMPLETED and upload.changed_blocks == changed_blocks:
            return snapshot
        self._written(caller, snapshot_id)
        if any(written_id == snapshot_id for written_id, _ in self._writing):
            raise parameter_invalid("Blocks are still being written.")
        self._completing.add(snapshot_id)
        try:
            await self._check_written(snapshot_id, changed_blocks, digest)
            await self._seal(snapshot_id, changed_blocks)
        except NoSuchUpload as err:
            raise snapshot_not_written(snapshot_id) from err
        except KeyUnavailable as err:
            raise snapshot_unreadable(snapshot_id) from err
        except StorageFull as err:
            raise host_full() from err
        finally:
            self._completing.discard(snapshot_id)
        return self._own(caller, snapshot_id)

    async def expire(self) -> None:
        """End the snapshots that nobody writes any more, and forget uploads that no snapshot wants."""
        store = self._context.store
        for snapshot in [it for it in store.snapshots if it.upload is not None and self._is_waiting(it.id)]:
            if not await self._is_over(snapshot):
                continue
            if await self._is_sealed(snapshot.id):
                await self._seal(snapshot.id, None)  # the server that sealed it had no time to write that down
            elif self._is_waiting(snapshot.id):
                async with store.transaction() as tx:
                    tx.put(replace(store.snapshots[snapshot.id], state=SnapshotState.ERROR))
        for snapshot_id in await self._context.volumes.blocks.uploads():
            known = store.snapshots.get(snapshot_id)
            if known is None or known.state is not SnapshotState.PENDING:
                await self._context.volumes.blocks.cancel(snapshot_id)

    async def _check_written(self, snapshot_id: str, changed_blocks: int, digest: bytes | None) -> None:
        """Refuse an upload that is not what the client says; of one that was sealed already nobody knows any more."""
        try:
            written = await self._context.volumes.blocks.written(snapshot_id)
        except NoSuchUpload:
            if not await self._is_sealed(snapshot_id):
                raise
            return
        if written.count != changed_blocks:
            raise parameter_invalid(f"{written.count} blocks were written, not {changed_blocks}.")
        if digest is not None and digest != written.digest:
            raise parameter_invalid("The checksum is not that of the blocks that were written.")

    def _is_waiting(self, snapshot_id: str) -> bool:
        """Tell whether a snapshot is pending and nothing is being done about it."""
        snapshot = self._context.store.snapshots.get(snapshot_id)
        is_pending = snapshot is not None and snapshot.state is SnapshotState.PENDING
        return is_pending and not self._context.sagas.is_changing(snapshot_id)

    async def _is_over(self, snapshot: Snapshot) -> bool:
        """Tell whether an upload is lost, or was left alone for its timeout."""
        if snapshot.upload is None:
            return False
        try:
            written = await self._context.volumes.blocks.written(snapshot.id)
        except NoSuchUpload:
            return True
        last = max(snapshot.started_at, datetime.fromtimestamp(written.last_written_at, UTC))
        return last + timedelta(minutes=snapshot.upload.timeout_minutes) < self._context.now()

    async def _seal(self, snapshot_id: str, changed_blocks: int | None) -> None:
        params = CompleteSnapshot(snapshot_id=snapshot_id, changed_blocks=changed_blocks)
        async with self._context.store.transaction() as tx:
            saga_id = self._context.sagas.enlist(tx, COMPLETE_SNAPSHOT, params, subject_id=snapshot_id)
        await self._context.sagas.run(saga_id)

    async def _is_sealed(self, snapshot_id: str) -> bool:
        """Tell whether the volume store has made it a snapshot, whatever the record says."""
        return snapshot_id in (await self._context.volumes.inventory()).snapshot_ids

    async def _run_start(self, caller: Caller, saga_id: str, params: StartSnapshot) -> None:
        try:
            await self._context.sagas.run(saga_id)
        except Exception as err:
            async with self._context.store.transaction() as tx:
                tx.forget(caller)
            if isinstance(err, KeyUnavailable):
                raise parameter_invalid(key_unusable().message) from err
            if isinstance(err, StorageFull):
                raise host_full() from err
            if isinstance(err, NoSuchSnapshot):
                raise snapshot_not_there(str(params.parent_id)) from err
            raise

    def _parent(self, caller: Caller, request: UploadRequest) -> Snapshot | None:
        size_gib = request.volume_size_gib
        if size_gib > VOLUME_SIZE_MAX_GIB:
            raise volume_size_invalid(f"A volume has up to {VOLUME_SIZE_MAX_GIB} GiB, not {size_gib}.")
        if request.parent_snapshot_id is None:
            return None
        parent = self._readable(caller, request.parent_snapshot_id)
        if size_gib < parent.volume_size_gib:
            raise volume_size_invalid(f"The parent snapshot has {parent.volume_size_gib} GiB, more than {size_gib}.")
        return parent

    def _show_progress(self, snapshot_id: str, progress: int | None) -> None:
        snapshot = self._context.store.snapshots.get(snapshot_id)
        if progress is None or snapshot is None or snapshot.upload is None or snapshot.upload.progress == progress:
            return
        if snapshot.state is SnapshotState.PENDING:
            self._context.store.write_behind(replace(snapshot, upload=replace(snapshot.upload, progress=progress)))

    def _readable(self, caller: Caller, snapshot_id: str) -> Snapshot:
        snapshot = self._context.store.snapshots.get(snapshot_id)
        if (
            snapshot is None
            or snapshot.region != caller.region
            or not may_read(self._context, caller.account_id, snapshot)
        ):
            raise snapshot_not_there(snapshot_id)
        if snapshot.state is not SnapshotState.COMPLETED or snapshot.tier is not StorageTier.STANDARD:
            raise snapshot_not_complete(snapshot_id)
        return snapshot

    def _own(self, caller: Caller, snapshot_id: str) -> Snapshot:
        snapshot = self._context.store.snapshots.get(snapshot_id)
        if snapshot is None or (snapshot.account_id, snapshot.region) != (caller.account_id, caller.region):
            raise snapshot_not_there(snapshot_id)
        return snapshot

    def _written(self, caller: Caller, snapshot_id: str) -> Snapshot:
        snapshot = self._own(caller, snapshot_id)
        if snapshot.upload is None or snapshot.state is not SnapshotState.PENDING:
            raise snapshot_not_written(snapshot_id)
        return snapshot
