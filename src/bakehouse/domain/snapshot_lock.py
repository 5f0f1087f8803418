"""Locks that keep snapshots from being deleted.

Source: EBS User Guide, "Amazon EBS snapshot lock": concepts and considerations. In governance mode a lock may be
changed and taken off; in compliance mode only made longer, once its cooling-off period, if it has one, is over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from bakehouse.domain.errors import (
    Ec2Error,
    incorrect_state,
    invalid_combination,
    invalid_value,
    missing_parameter,
    operation_not_permitted,
)

#: Source: EC2 API Reference, LockSnapshot.
_DAYS_MAX: Final = 36_500
_COOL_OFF_HOURS_MAX: Final = 72
_DAY: Final = timedelta(days=1)


class LockMode(StrEnum):
    """Source: EC2 API Reference, LockSnapshot."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class LockState(StrEnum):
    """Source: EC2 API Reference, LockedSnapshotsInfo."""

    GOVERNANCE = "governance"
    COMPLIANCE_COOLOFF = "compliance-cooloff"
    COMPLIANCE = "compliance"
    EXPIRED = "expired"
    """Shown still, and holds nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRequest:
    """What LockSnapshot asks for. Of days and date one is given."""

    mode: LockMode
    cool_off_hours: int | None = None
    days: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLock:
    """A lock as it was last set. Its duration begins with that, or with the completion of a pending snapshot."""

    mode: LockMode
    created_at: datetime
    """When the snapshot was locked; changes of the lock leave this."""
    set_at: datetime
    days: int
    expiration_date: datetime | None = None
    """Given instead of days; `days` are then what remained, rounded up."""
    cool_off_hours: int | None = None

    @property
    def cool_off_expires_at(self) -> datetime | None:
        """When the lock can be changed and taken off no more; None without a cooling-off period."""
        return None if self.cool_off_hours is None else self.set_at + timedelta(hours=self.cool_off_hours)

    def started_at(self, completed_at: datetime | None) -> datetime | None:
        """Return when the duration began; None while the snapshot is pending."""
        return None if completed_at is None else max(self.set_at, completed_at)

    def expires_at(self, completed_at: datetime | None) -> datetime | None:
        """Return when the lock ends by itself; None while that depends on a pending snapshot."""
        started_at = self.started_at(completed_at)
        if self.expiration_date is not None or started_at is None:
            return self.expiration_date
        return started_at + self.days * _DAY

    def state(self, completed_at: datetime | None, now: datetime) -> LockState:
        """Return what the lock keeps from being done at a time."""
        expires_at, cool_off = self.expires_at(completed_at), self.cool_off_expires_at
        if expires_at is not None and expires_at <= now:
            return LockState.EXPIRED
        if self.mode is LockMode.GOVERNANCE:
            return LockState.GOVERNANCE
        return LockState.COMPLIANCE_COOLOFF if cool_off is not None and now < cool_off else LockState.COMPLIANCE


def new_lock(
    request: LockRequest, old: SnapshotLock | None, completed_at: datetime | None, now: datetime
) -> SnapshotLock:
    """Return the lock that a request asks for, given the one that a snapshot has.

    Refuses a request of a wrong form (MissingParameter, InvalidParameterCombination, InvalidParameterValue), and what
    a lock in compliance mode forbids (OperationNotPermitted).
    """
    _check(request, now)
    state = None if old is None else old.state(completed_at, now)
    holds = old is not None and state is not LockState.EXPIRED
    remaining = 0 if request.expires_at is None else -((now - request.expires_at) // _DAY)
    lock = SnapshotLock(
        mode=request.mode,
        created_at=old.created_at if old is not None and holds else now,
        set_at=now,
        days=remaining if request.days is None else request.days,
        expiration_date=request.expires_at,
        cool_off_hours=request.cool_off_hours,
    )
    if old is not None and state is LockState.COMPLIANCE:
        _check_extension(request, old, lock, completed_at)
    return lock


def check_unlockable(snapshot_id: str, lock: SnapshotLock | None, completed_at: datetime | None, now: datetime) -> None:
    """Refuse to take off a lock that is none (any more), or in compliance mode for good."""
    state = None if lock is None else lock.state(completed_at, now)
    if state in (None, LockState.EXPIRED):
        raise incorrect_state(f"The snapshot '{snapshot_id}' is not locked")
    if state is LockState.COMPLIANCE:
        raise operation_not_permitted(
            f"The snapshot '{snapshot_id}' is locked in compliance mode and cannot be unlocked before its lock expires"
        )


def snapshot_locked(snapshot_id: str) -> Ec2Error:
    """Refuse to delete a locked snapshot: that it cannot be deleted is documented, the error code is not."""
    return operation_not_permitted(f"The snapshot '{snapshot_id}' is locked and cannot be deleted")


def _check(request: LockRequest, now: datetime) -> None:
    if request.days is not None and request.expires_at is not None:
        raise invalid_combination("The parameter LockDuration cannot be used with the parameter ExpirationDate")
    if request.days is None and request.expires_at is None:
        raise missing_parameter("lockDuration or expirationDate")
    if request.days is not None and not 1 <= request.days <= _DAYS_MAX:
        raise invalid_value(request.days, "lockDuration", f"Expecting a value between 1 and {_DAYS_MAX}.")
    if request.expires_at is not None and not now < request.expires_at <= now + _DAYS_MAX * _DAY:
        raise invalid_value(request.expires_at.isoformat(), "expirationDate", "Expecting a date in the future.")
    hours = request.cool_off_hours
    if hours is None:
        return
    if request.mode is LockMode.GOVERNANCE:
        raise invalid_combination("The parameter CoolOffPeriod cannot be used with the lock mode governance")
    if not 1 <= hours <= _COOL_OFF_HOURS_MAX:
        raise invalid_value(hours, "coolOffPeriod", f"Expecting a value between 1 and {_COOL_OFF_HOURS_MAX}.")


def _check_extension(request: LockRequest, old: SnapshotLock, new: SnapshotLock, completed_at: datetime | None) -> None:
    """Refuse anything but a later end, once a lock in compliance mode has no cooling-off period (any more)."""
    if request.mode is not LockMode.COMPLIANCE:
        raise operation_not_permitted("The lock mode of a snapshot locked in compliance mode cannot be changed")
    if request.cool_off_hours is not None:
        raise operation_not_permitted("A cooling-off period cannot be specified once the lock is in compliance mode")
    old_end, new_end = old.expires_at(completed_at), new.expires_at(completed_at)
    longer = new.days > old.days if old_end is None or new_end is None else new_end > old_end
    if not longer:
        raise operation_not_permitted("The lock duration of a snapshot locked in compliance mode can only be increased")
