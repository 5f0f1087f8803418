"""Block public access, for images and for snapshots: accounts keep themselves from sharing with everybody."""

from collections.abc import Collection

from bakehouse.app.account_settings import change_settings, settings_of
from bakehouse.app.context import AppContext
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import Image, ImageState, image_unavailable
from bakehouse.domain.kms_key import (
    default_key_id,
    default_key_not_shared,
    image_with_default_key_not_shared,
    key_id_of,
)
from bakehouse.domain.public_access import (
    PublicAccess,
    encrypted_image_is_not_public,
    encrypted_snapshot_is_not_public,
    public_image_blocked,
    public_snapshot_blocked,
)
from bakehouse.domain.snapshot import Snapshot

_EVERYBODY = "all"


def check_image_sharing(context: AppContext, image: Image, launchers: Collection[str]) -> None:
    """Refuse to share an image with these: account ids, or `all`.

    A disabled image is shared with nobody (InvalidAMIID.Unavailable), nor is one that is encrypted with the account's
    own key for EBS (InvalidParameter), and nothing is made public that is encrypted or whose account blocks that
    (OperationNotPermitted). To take permissions away is always right.
    """
    if launchers and image.state is ImageState.DISABLED:
        raise image_unavailable(image.id)
    access = settings_of(context, image.account_id, image.region).image_public_access
    found = [context.store.snapshots.get(snapshot_id) for snapshot_id in image.snapshot_ids]
    snapshots = [snapshot for snapshot in found if snapshot is not None]
    if launchers and any(_has_default_key(snapshot) for snapshot in snapshots):
        raise image_with_default_key_not_shared()
    if _EVERYBODY not in launchers:
        return
    if access is not PublicAccess.UNBLOCKED:
        raise public_image_blocked()
    encrypted = any(device.encrypted for device in image.block_devices)
    if encrypted or any(snapshot.encrypted for snapshot in snapshots):
        raise encrypted_image_is_not_public(image.id)


def check_snapshot_sharing(context: AppContext, snapshot: Snapshot, readers: Collection[str]) -> None:
    """Refuse to make a snapshot public that is encrypted or whose account blocks that: OperationNotPermitted.

    One that is encrypted with the account's own key for EBS is shared with nobody.
    """
    access = settings_of(context, snapshot.account_id, snapshot.region).snapshot_public_access
    if readers and _has_default_key(snapshot):
        raise default_key_not_shared()
    if _EVERYBODY not in readers:
        return
    if access is not PublicAccess.UNBLOCKED:
        raise public_snapshot_blocked()
    if snapshot.encrypted:
        raise encrypted_snapshot_is_not_public()


def _has_default_key(snapshot: Snapshot) -> bool:
    return snapshot.encrypted and key_id_of(snapshot.kms_key_id) == default_key_id(snapshot.account_id, snapshot.region)


def may_read(context: AppContext, account_id: str, snapshot: Snapshot) -> bool:
    """Tell whether an account may see a snapshot and make volumes from it: its own, a shared one, or a public one."""
    if account_id == snapshot.account_id or account_id in snapshot.create_volume_accounts:
        return True
    return is_public(context, snapshot)


def is_public(context: AppContext, snapshot: Snapshot) -> bool:
    """Tell whether everybody may read a snapshot.

    While its account blocks all sharing nobody may, though its attributes go on to say that it is public.
    Source: EC2 API Reference, EnableSnapshotBlockPublicAccess.
    """
    if _EVERYBODY not in snapshot.create_volume_accounts:
        return False
    access = settings_of(context, snapshot.account_id, snapshot.region).snapshot_public_access
    return access is not PublicAccess.BLOCK_ALL_SHARING


class PublicAccessSettings:
    """Use cases on the settings. They hold from the moment that a change is answered; EC2 takes up to ten minutes."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    def of_images(self, caller: Caller) -> PublicAccess:
        """Return what holds for the caller's images."""
        return settings_of(self._context, caller.account_id, caller.region).image_public_access

    async def set_for_images(self, caller: Caller, access: PublicAccess) -> None:
        """Block that images become public, or not; public ones stay public."""
        await change_settings(self._context, caller, image_public_access=access)

    def of_snapshots(self, caller: Caller) -> PublicAccess:
        """Return what holds for the caller's snapshots."""
        return settings_of(self._context, caller.account_id, caller.region).snapshot_public_access

    async def set_for_snapshots(self, caller: Caller, access: PublicAccess) -> None:
        """Block that snapshots become public, or that any is, or neither."""
        await change_settings(self._context, caller, snapshot_public_access=access)
