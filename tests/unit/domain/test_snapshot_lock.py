"""Locks that keep snapshots from being deleted."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.snapshot_lock import LockMode, LockRequest, LockState, SnapshotLock, check_unlockable, new_lock

NOW = datetime(2026, 11, 23, 6, 18, 9, tzinfo=UTC)
DAY = timedelta(days=1)
COMPLETED = NOW - DAY


def test_the_duration_of_a_pending_snapshot_begins_with_its_completion() -> None:
    lock = new_lock(LockRequest(mode=LockMode.COMPLIANCE, days=1), None, None, NOW)
    completed_at = NOW + 5 * DAY

    assert (lock.started_at(None), lock.expires_at(None)) == (None, None)
    assert lock.state(None, NOW + 9 * DAY) is LockState.COMPLIANCE
    assert (lock.started_at(completed_at), lock.expires_at(completed_at)) == (completed_at, completed_at + DAY)


def test_an_expiration_date_does_not_wait_for_a_pending_snapshot() -> None:
    lock = new_lock(LockRequest(mode=LockMode.GOVERNANCE, expires_at=NOW + DAY), None, None, NOW)

    assert lock.expires_at(None) == NOW + DAY


@pytest.mark.parametrize(
    "request_",
    [
        LockRequest(mode=LockMode.GOVERNANCE, days=0),
        LockRequest(mode=LockMode.GOVERNANCE, expires_at=NOW),
        LockRequest(mode=LockMode.COMPLIANCE, days=1, cool_off_hours=0),
    ],
)
def test_values_below_the_least_are_refused(request_: LockRequest) -> None:
    with pytest.raises(Ec2Error) as refusal:
        new_lock(request_, None, COMPLETED, NOW)

    assert refusal.value.code == "InvalidParameterValue"


@pytest.mark.parametrize("hours", [1, 72])
def test_a_cooling_off_period_lasts_to_the_second(hours: int) -> None:
    lock = new_lock(LockRequest(mode=LockMode.COMPLIANCE, days=10, cool_off_hours=hours), None, COMPLETED, NOW)
    end = NOW + timedelta(hours=hours)

    assert lock.state(COMPLETED, end - timedelta(seconds=1)) is LockState.COMPLIANCE_COOLOFF
    check_unlockable("snap-1", lock, COMPLETED, end - timedelta(seconds=1))
    assert lock.state(COMPLETED, end) is LockState.COMPLIANCE
    with pytest.raises(Ec2Error):
        check_unlockable("snap-1", lock, COMPLETED, end)


REQUESTS = st.builds(
    LockRequest,
    mode=st.sampled_from(LockMode),
    days=st.integers(1, 5),
) | st.builds(
    LockRequest,
    mode=st.just(LockMode.COMPLIANCE),
    days=st.integers(1, 5),
    cool_off_hours=st.integers(1, 72),
)


@given(requests=st.lists(st.tuples(st.integers(0, 60), REQUESTS), max_size=8))
def test_no_request_shortens_a_lock_in_compliance_mode(requests: list[tuple[int, LockRequest]]) -> None:
    lock: SnapshotLock | None = None
    now = NOW
    for hours, request in requests:
        now += timedelta(hours=hours)
        before = None if lock is None else (lock.state(COMPLETED, now), lock.expires_at(COMPLETED))
        try:
            lock = new_lock(request, lock, COMPLETED, now)
        except Ec2Error:
            assert before is not None
            assert before[0] is LockState.COMPLIANCE
            continue
        end = lock.expires_at(COMPLETED)
        assert end == now + request.days * DAY if request.days else end
        if before is not None and before[0] is LockState.COMPLIANCE:
            assert before[1] is not None
            assert end is not None
            assert end > before[1]
            assert lock.state(COMPLETED, now) is LockState.COMPLIANCE
