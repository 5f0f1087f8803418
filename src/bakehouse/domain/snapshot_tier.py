"""Storage tiers of snapshots: the standard one, and the archive, where nothing can be made of them.

An archived snapshot is compressed, and whole: it needs no other snapshot. Restored temporarily it is in both tiers, and
leaves the standard one by itself when its time is over. Source: EBS User Guide, "Archive Amazon EBS snapshots".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import Ec2Error, incorrect_state, invalid_combination, invalid_value, missing_parameter

#: Days for which a snapshot can be restored. The longest is from memory: no document that could be searched names one.
RESTORE_DAYS: Final = range(1, 180 + 1)


class StorageTier(StrEnum):
    """Source: EC2 API Reference, StorageTier."""

    STANDARD = "standard"
    ARCHIVE = "archive"


class TieringStatus(StrEnum):
    """Source: EC2 API Reference, SnapshotTierStatus, LastTieringOperationStatus."""

    ARCHIVAL_IN_PROGRESS = "archival-in-progress"
    ARCHIVAL_COMPLETED = "archival-completed"
    ARCHIVAL_FAILED = "archival-failed"
    TEMPORARY_RESTORE_IN_PROGRESS = "temporary-restore-in-progress"
    TEMPORARY_RESTORE_COMPLETED = "temporary-restore-completed"
    TEMPORARY_RESTORE_FAILED = "temporary-restore-failed"
    PERMANENT_RESTORE_IN_PROGRESS = "permanent-restore-in-progress"
    PERMANENT_RESTORE_COMPLETED = "permanent-restore-completed"
    PERMANENT_RESTORE_FAILED = "permanent-restore-failed"

    @property
    def is_in_progress(self) -> bool:
        """Whether it goes on still."""
        return self.endswith("-in-progress")

    @property
    def completed(self) -> "TieringStatus":
        """What becomes of one in progress that succeeds."""
        return TieringStatus(self.replace("-in-progress", "-completed"))

    @property
    def failed(self) -> "TieringStatus":
        """What becomes of one in progress that does not."""
        return TieringStatus(self.replace("-in-progress", "-failed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiering:
    """The last move of a snapshot between tiers."""

    status: TieringStatus
    started_at: datetime
    detail: str = ""
    """Why it failed."""
    archived_at: datetime | None = None
    """When it was archived the last time."""
    restore_days: int | None = None
    """For how long it is restored; None when it is for good."""
    restore_expires_at: datetime | None = None
    """When it leaves the standard tier; None unless it is restored temporarily."""


def check_restore(days: int | None, *, permanent: bool) -> None:
    """Refuse a restoration that is neither for a number of days nor for good, or is both."""
    if permanent and days is not None:
        raise invalid_combination("TemporaryRestoreDays cannot be used with PermanentRestore")
    if not permanent and days is None:
        raise missing_parameter("temporaryRestoreDays")
    if days is not None and days not in RESTORE_DAYS:
        raise invalid_value(
            days, "temporaryRestoreDays", f"Expecting a value between {RESTORE_DAYS[0]} and {RESTORE_DAYS[-1]}."
        )


def snapshot_archived(snapshot_id: str) -> Ec2Error:
    """Refuse to make something of an archived snapshot.

    Source: EBS User Guide, "Restore an archived Amazon EBS snapshot": it is restored before it is used.
    """
    return incorrect_state(f"The snapshot '{snapshot_id}' is archived. Restore it from the archive tier first.")


def snapshot_not_archived(snapshot_id: str) -> Ec2Error:
    """Refuse to restore what is not archived. Source: EC2 API Reference, Error codes, IncorrectState."""
    return incorrect_state(f"The snapshot '{snapshot_id}' is not in the archive tier.")


def snapshot_moving(snapshot_id: str) -> Ec2Error:
    """Refuse a move while another is under way. Source: EC2 API Reference, Error codes, IncorrectState."""
    return incorrect_state(f"The snapshot '{snapshot_id}' is being archived or restored.")
