"""Snapshots: taken of one volume, or of an instance's volumes at one point in time; listed; deleted."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bakehouse.app.context import AppContext, owned
from bakehouse.app.public_access import check_snapshot_sharing, is_public, may_read
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, auth_failure, incorrect_state, invalid_parameter, malformed_id, not_found
from bakehouse.domain.ids import is_well_formed, new_id
from bakehouse.domain.image import user_id_malformed, user_item_malformed
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.domain.kms_key import key_unusable
from bakehouse.domain.snapshot import Snapshot, SnapshotState, snapshot_in_use
from bakehouse.domain.snapshot_lock import snapshot_locked
from bakehouse.domain.snapshot_tier import StorageTier, snapshot_archived
from bakehouse.domain.tags import check_tags, merged
from bakehouse.domain.volume import AttachmentState, Volume, VolumeState, storage_full, volume_not_available
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.ports.volumes import NoSuchVolume, StorageFull, VolumeInUse
from bakehouse.sagas import recycle_bin
from bakehouse.sagas.create_snapshots import CREATE_SNAPSHOTS, CreateSnapshots
from bakehouse.sagas.delete_snapshots import DELETE_SNAPSHOTS, DeleteSnapshots
from bakehouse.store.store import Transaction

#: Source: EC2 API Reference, CreateImage, Description; EC2 refuses longer ones of snapshots too.
DESCRIPTION_MAX: Final = 255
_ACCOUNT_ID_LENGTH: Final = 12
#: What Owner names beside accounts. None of these owns anything here.
_OWNER_ALIASES: Final = frozenset({"amazon", "aws-backup-vault", "aws-marketplace"})
_SNAPSHOTTABLE: Final = frozenset({VolumeState.AVAILABLE, VolumeState.IN_USE})


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSnapshotsRequest:
    """What CreateSnapshots asks for."""

    instance_id: str
    exclude_root: bool = False
    exclude_volume_ids: tuple[str, ...] = ()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    copy_volume_tags: bool = False


class Snapshots:
    """Use cases on snapshots."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def create(self, caller: Caller, volume_id: str, *, description: str, tags: Mapping[str, str]) -> Snapshot:
        """Take a snapshot of a volume and return it as it was when it was reserved: `pending`.

        Refuses a volume that is neither available nor in use (IncorrectState). A full host: InsufficientVolumeCapacity,
        and there is no snapshot.
        """
        check_tags(tags)
        check_description(description)
        (volume,) = owned(self._context.store.volumes, caller, "volume", [volume_id])
        if volume.state not in _SNAPSHOTTABLE:
            raise volume_not_available(volume.id)
        snapshot = pending_snapshot(self._context, volume, description, tags)
        subject_id = volume.attachment.instance_id if volume.attachment else volume.id
        await self._take([snapshot], subject_id)
        return snapshot

    async def create_of_instance(self, caller: Caller, request: InstanceSnapshotsRequest) -> list[Snapshot]:
        """Take snapshots of an instance's volumes at one point in time; returns and refuses as `create`.

        Refuses to exclude what is no data volume of the instance, and to take none: InvalidParameterValue.
        """
        check_tags(request.tags)
        check_description(request.description)
        (instance,) = owned(self._context.store.instances, caller, "instance", [request.instance_id])
        snapshots = [
            pending_snapshot(
                self._context,
                volume,
                request.description,
                merged(volume.tags, request.tags) if request.copy_volume_tags else request.tags,
            )
            for volume in _wanted(attached_volumes(self._context, instance), instance, request)
        ]
        await self._take(snapshots, instance.id)
        return snapshots

    def describe(
        self,
        caller: Caller,
        snapshot_ids: Iterable[str] | None = None,
        *,
        owners: Collection[str] | None = None,
        restorable_by: Collection[str] | None = None,
    ) -> list[Snapshot]:
        """Return the snapshots that the caller may make volumes from: all, or those of these ids, owners and readers.

        `owners` are account ids, `self`, or Amazon's aliases; `restorable_by` account ids (of the caller's own
        snapshots), `self`, or `all` for public ones. A missing id is refused: InvalidSnapshot.NotFound.
        """
        found = self._readable(caller) if snapshot_ids is None else self._of_ids(caller, snapshot_ids)
        if owners is not None:
            accounts = owner_accounts(caller, owners)
            found = [snapshot for snapshot in found if snapshot.account_id in accounts]
        if restorable_by is not None:
            found = [snapshot for snapshot in found if _is_restorable(self._context, snapshot, caller, restorable_by)]
        return found

    def owned(self, caller: Caller, snapshot_id: str) -> Snapshot:
        """Return the caller's snapshot. Refuses another's: AuthFailure if it is shared with the caller."""
        snapshot = readable_snapshot(self._context, caller, snapshot_id)
        if snapshot.account_id != caller.account_id:
            raise auth_failure(f"Not authorized for snapshot:{snapshot_id}")
        return snapshot

    async def share(
        self, caller: Caller, snapshot_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> None:
        """Change who may make volumes of a snapshot: account ids, or `all`.

        To add one twice, or to remove one that is none, changes nothing. Refuses to make a snapshot public where its
        account blocks that (OperationNotPermitted), and to share one that is archived (IncorrectState).
        """
        snapshot = self.owned(caller, snapshot_id)
        removed = {checked_receiver(reader) for reader in remove}
        added = [checked_receiver(reader) for reader in add]
        check_snapshot_sharing(self._context, snapshot, added)
        if added and snapshot.tier is StorageTier.ARCHIVE:
            raise snapshot_archived(snapshot_id)
        readers = dict.fromkeys((*snapshot.create_volume_accounts, *added))
        accounts = tuple(reader for reader in readers if reader not in removed)
        async with self._context.store.transaction() as tx:
            tx.put(replace(snapshot, create_volume_accounts=accounts))

    async def delete(self, caller: Caller, snapshot_id: str) -> None:
        """Delete a snapshot, or move it to the Recycle Bin; volumes made from it lose nothing.

        Refuses one that an image names (InvalidSnapshot.InUse), one that is locked (OperationNotPermitted) and another
        account's (AuthFailure, if it is shared).
        """
        snapshot = self.owned(caller, snapshot_id)
        if snapshot.is_locked(self._context.now()):
            raise snapshot_locked(snapshot_id)
        users = images_using(self._context, caller.region, [snapshot_id])[snapshot_id]
        if users:
            raise snapshot_in_use(snapshot_id, users[0])
        async with self._context.store.transaction() as tx:
            saga_id = enlist_deletion(self._context, tx, [snapshot], subject_id=snapshot_id)
        if saga_id is not None:
            await asyncio.wait([self._context.sagas.begin(saga_id)])  # it is gone, whatever becomes of its bytes

    async def _take(self, snapshots: Sequence[Snapshot], subject_id: str) -> None:
        params = CreateSnapshots(snapshots={snapshot.volume_id: snapshot.id for snapshot in snapshots})
        async with self._context.store.transaction() as tx:
            for snapshot in snapshots:
                tx.put(snapshot)
            saga_id = self._context.sagas.enlist(tx, CREATE_SNAPSHOTS, params, subject_id=subject_id)
        try:
            await self._context.sagas.run(saga_id)
        except StorageFull as err:
            raise storage_full() from err
        except KeyUnavailable as err:
            raise key_unusable() from err
        except (NoSuchVolume, VolumeInUse) as err:  # deleted, or attached elsewhere, before its turn came
            raise volume_not_available(", ".join(params.snapshots)) from err

    def _readable(self, caller: Caller) -> list[Snapshot]:
        snapshots = self._context.store.snapshots.by("region")[caller.region].values()
        return [snapshot for snapshot in snapshots if may_read(self._context, caller.account_id, snapshot)]

    def _of_ids(self, caller: Caller, snapshot_ids: Iterable[str]) -> list[Snapshot]:
        found, missing = [], []
        for snapshot_id in dict.fromkeys(snapshot_ids):
            snapshot = _find(self._context, caller, snapshot_id)
            if snapshot is None:
                missing.append(snapshot_id)
            else:
                found.append(snapshot)
        if missing:
            raise not_found("snapshot", missing)
        return found


def check_description(description: str) -> None:
    """Refuse a description that is too long for a snapshot or an image: InvalidParameterValue."""
    if len(description) > DESCRIPTION_MAX:
        raise invalid_parameter(f"A description may have up to {DESCRIPTION_MAX} characters, not {len(description)}.")


def readable_snapshot(context: AppContext, caller: Caller, snapshot_id: str) -> Snapshot:
    """Return a snapshot that the caller may make volumes from, or refuse: InvalidSnapshot.NotFound."""
    snapshot = _find(context, caller, snapshot_id)
    if snapshot is None:
        raise not_found("snapshot", [snapshot_id])
    return snapshot


def completed_snapshot(context: AppContext, caller: Caller, snapshot_id: str) -> Snapshot:
    """Return a snapshot to make something from; one that is not complete, or archived, is refused: IncorrectState."""
    snapshot = readable_snapshot(context, caller, snapshot_id)
    check_completed(snapshot)
    return snapshot


def check_completed(snapshot: Snapshot) -> None:
    """Refuse to make something of a snapshot that is not complete, or archived: IncorrectState."""
    if snapshot.state is not SnapshotState.COMPLETED:
        raise incorrect_state(f"Snapshot is in invalid state - {snapshot.state}")
    if snapshot.tier is StorageTier.ARCHIVE:
        raise snapshot_archived(snapshot.id)


def snapshot_gone(context: AppContext, caller: Caller, snapshot_id: str) -> Ec2Error:
    """Return what tells that a snapshot which was complete is no more: archived in the meantime, or deleted."""
    try:
        completed_snapshot(context, caller, snapshot_id)
    except Ec2Error as refusal:
        return refusal
    return not_found("snapshot", [snapshot_id])


def pending_snapshot(context: AppContext, volume: Volume, description: str, tags: Mapping[str, str]) -> Snapshot:
    """Return the record of a snapshot that is about to be taken."""
    return Snapshot(
        id=new_id("snapshot"),
        account_id=volume.account_id,
        region=volume.region,
        volume_id=volume.id,
        volume_size_gib=volume.size_gib,
        description=description,
        state=SnapshotState.PENDING,
        started_at=context.now().replace(microsecond=0),
        encrypted=volume.encrypted,
        kms_key_id=volume.kms_key_id,
        tags=dict(tags),
    )


def attached_volumes(context: AppContext, instance: Instance) -> list[Volume]:
    """Return what a snapshot of a whole instance takes, the root first; a volume on its way out is left out.

    Refuses an instance that is neither running nor stopped: IncorrectInstanceState.
    """
    if instance.state not in (InstanceState.RUNNING, InstanceState.STOPPED):
        raise instance_must_be(instance.id, "running or stopped")
    by_device = {
        volume.attachment.device_name: volume
        for volume in context.store.volumes.by("instance")[instance.id].values()
        if volume.attachment is not None and volume.attachment.state is not AttachmentState.DETACHING
    }
    return [by_device[name] for name in sorted(by_device, key=lambda name: (name != instance.root_device_name, name))]


def images_using(context: AppContext, region: str, snapshot_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return for each snapshot the ids of the images that name it."""
    users: dict[str, list[str]] = {snapshot_id: [] for snapshot_id in snapshot_ids}
    for image in context.store.images.by("region")[region].values():
        for device in image.block_devices:
            if device.snapshot_id in users:
                users[device.snapshot_id].append(image.id)
    return users


def enlist_deletion(
    context: AppContext, tx: Transaction, snapshots: Iterable[Snapshot], *, subject_id: str
) -> str | None:
    """Remove the records of snapshots, and enlist what removes their bytes.

    What a retention rule keeps goes into the Recycle Bin instead; None when that is all of them. Only what is complete
    can be kept: of anything else the bytes are not all there.
    """
    now = context.now()
    gone = [snapshot for snapshot in snapshots if not recycle_bin.keep(context.store, tx, snapshot, now)]
    if not gone:
        return None
    for snapshot in gone:
        tx.delete(snapshot)
    params = DeleteSnapshots(snapshot_ids=tuple(snapshot.id for snapshot in gone))
    return context.sagas.enlist(tx, DELETE_SNAPSHOTS, params, subject_id=subject_id)


def owner_accounts(caller: Caller, owners: Iterable[str]) -> set[str]:
    """Return the accounts that Owner values name; what is neither account nor alias: InvalidUserID.Malformed."""
    accounts = set()
    for owner in owners:
        if owner == "self":
            accounts.add(caller.account_id)
        elif owner not in _OWNER_ALIASES:
            accounts.add(checked_account_id(owner))
    return accounts


def checked_account_id(text: str) -> str:
    """Return an account id without hyphens, or refuse what is none: InvalidUserID.Malformed."""
    account_id = _account_id(text)
    if account_id is None:
        raise user_id_malformed(text)
    return account_id


def checked_receiver(text: str) -> str:
    """Return an account id, or `all`, to share with; refuse what is neither: InvalidAMIAttributeItemValue."""
    account_id = text if text == "all" else _account_id(text)
    if account_id is None:
        raise user_item_malformed(text)
    return account_id


def _account_id(text: str) -> str | None:
    account_id = text.replace("-", "")
    is_one = len(account_id) == _ACCOUNT_ID_LENGTH and account_id.isascii() and account_id.isdigit()
    return account_id if is_one else None


def _find(context: AppContext, caller: Caller, snapshot_id: str) -> Snapshot | None:
    if not is_well_formed(snapshot_id, "snapshot"):
        raise malformed_id("snapshot", snapshot_id)
    snapshot = context.store.snapshots.get(snapshot_id)
    if snapshot is None or snapshot.region != caller.region or not may_read(context, caller.account_id, snapshot):
        return None
    return snapshot


def _wanted(volumes: Sequence[Volume], instance: Instance, request: InstanceSnapshotsRequest) -> list[Volume]:
    roots = {
        volume.id
        for volume in volumes
        if volume.attachment is not None and volume.attachment.device_name == instance.root_device_name
    }
    data_ids = {volume.id for volume in volumes} - roots
    for volume_id in request.exclude_volume_ids:
        if volume_id not in data_ids:
            raise invalid_parameter(f"Volume '{volume_id}' is not a data volume of instance '{instance.id}'")
    excluded = {*request.exclude_volume_ids, *(roots if request.exclude_root else ())}
    wanted = [volume for volume in volumes if volume.id not in excluded]
    if not wanted:
        raise invalid_parameter(f"No volume of instance '{instance.id}' is left to take a snapshot of")
    return wanted


def _is_restorable(context: AppContext, snapshot: Snapshot, caller: Caller, users: Iterable[str]) -> bool:
    """Source: EC2 API Reference, DescribeSnapshots, RestorableByUserIds."""
    for user in users:
        if user == "self":
            if caller.account_id in (snapshot.account_id, *snapshot.create_volume_accounts):
                return True
        elif user == "all":
            if is_public(context, snapshot):
                return True
        elif checked_account_id(user) in (snapshot.account_id, *snapshot.create_volume_accounts):
            return True
    return False
