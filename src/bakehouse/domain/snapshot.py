"""Snapshots: one point in time of a volume."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.fast_snapshot_restore import FastSnapshotRestore
from bakehouse.domain.snapshot_block import SnapshotUpload
from bakehouse.domain.snapshot_lock import LockState, SnapshotLock
from bakehouse.domain.snapshot_tier import StorageTier, Tiering, TieringStatus

#: What a snapshot names as its volume when it came from a file or from another snapshot, as on EC2.
NO_VOLUME: Final = "vol-ffffffff"


class SnapshotState(StrEnum):
    """Source: EC2 API Reference, SnapshotState."""

    PENDING = "pending"
    COMPLETED = "completed"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A frozen layer, as the API shows it. Sizes in GiB."""

    id: str
    account_id: str
    region: str
    volume_id: str
    """The source; `vol-ffffffff` when it came from a file, as on EC2 after an import or a copy."""
    volume_size_gib: int
    description: str
    state: SnapshotState
    started_at: datetime
    completed_at: datetime | None = None
    encrypted: bool = False
    kms_key_id: str | None = None
    """ARN of the key that encrypts it."""
    state_message: str | None = None
    """Of a copy that failed, why."""
    create_volume_accounts: tuple[str, ...] = ()
    """Accounts that may make volumes from it; `all` for everybody."""
    transfer_type: str | None = None
    """Of a copy, `standard` or `time-based`."""
    completion_duration_minutes: int | None = None
    """Of a time-based copy, how long it was given."""
    full_size_bytes: int | None = None
    """What all its blocks take that were written; None until they were counted."""
    tier: StorageTier = StorageTier.STANDARD
    """Where it can be read from; of one that is restored for some days, a copy is in the archive too."""
    tiering: Tiering | None = None
    """Its last move between tiers."""
    lock: SnapshotLock | None = None
    """The last lock, which may have expired."""
    upload: SnapshotUpload | None = None
    """How a client writes it by blocks, or wrote it."""
    fast_restores: tuple[FastSnapshotRestore, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    tags_of_others: dict[str, dict[str, str]] = field(default_factory=dict)
    """Account -> the tags that it gave what is another's; it alone sees them."""

    @property
    def is_archived(self) -> bool:
        """Whether the archive has it, restored for some days or not."""
        restored = self.tiering is not None and self.tiering.restore_expires_at is not None
        return self.tier is StorageTier.ARCHIVE or restored

    @property
    def is_leaving(self) -> bool:
        """Whether it is on its way into the archive: it can be used still, and nothing can rely on it."""
        return self.tiering is not None and self.tiering.status is TieringStatus.ARCHIVAL_IN_PROGRESS

    def tags_for(self, account_id: str) -> dict[str, str]:
        """Return the tags that an account gave it, which are all that the account sees.

        Source: EC2 User Guide, "Tag restrictions": of public and shared resources.
        """
        return self.tags if account_id == self.account_id else self.tags_of_others.get(account_id, {})

    def is_locked(self, now: datetime) -> bool:
        """Whether a lock keeps it from being deleted."""
        if self.lock is None or self.state is SnapshotState.ERROR:
            return False
        return self.lock.state(self.completed_at, now) is not LockState.EXPIRED


def snapshot_in_use(snapshot_id: str, image_id: str) -> Ec2Error:
    """Source: EC2 API Reference, Error codes, InvalidSnapshot.InUse; wording as AWS answers it."""
    return Ec2Error("InvalidSnapshot.InUse", f"The snapshot {snapshot_id} is currently in use by {image_id}")
