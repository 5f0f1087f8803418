"""Snapshot locks, as boto3 sees them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.server import RunningServer
from tests.system.refusals import refused
from tests.system.sharing import Clock, account_of, snapshot_of
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Vault:
    """A snapshot that no image names, on a server whose clock can be moved."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.clock = Clock(running)
        self.ec2 = running.ec2("owner")
        self.snapshot_id = self.snapshot()

    def snapshot(self) -> str:
        volume_id = self.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        return self.ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]

    def lock(self, mode: Any = "governance", **members: Any) -> Any:
        given = members if "ExpirationDate" in members else {"LockDuration": 10, **members}
        return self.ec2.lock_snapshot(SnapshotId=self.snapshot_id, LockMode=mode, **given)

    def state(self) -> str:
        (locked,) = self.ec2.describe_locked_snapshots(SnapshotIds=[self.snapshot_id])["Snapshots"]
        return locked["LockState"]

    def delete(self) -> None:
        self.ec2.delete_snapshot(SnapshotId=self.snapshot_id)


@pytest.fixture
def vault(running: RunningServer) -> Vault:
    """A snapshot that nothing else needs."""
    return Vault(running)


def test_a_lock_in_governance_mode_is_shown(vault: Vault) -> None:
    lock = vault.lock(LockDuration=30)

    assert (lock["SnapshotId"], lock["LockState"], lock["LockDuration"]) == (vault.snapshot_id, "governance", 30)
    assert lock["LockDurationStartTime"] == lock["LockCreatedOn"]
    assert lock["LockExpiresOn"] - lock["LockCreatedOn"] == 30 * DAY
    assert "CoolOffPeriod" not in lock
    (shown,) = vault.ec2.describe_locked_snapshots()["Snapshots"]
    assert shown["OwnerId"] == account_of(vault.ec2)
    assert {member: shown.get(member) for member in lock if member != "ResponseMetadata"} == {
        member: value for member, value in lock.items() if member != "ResponseMetadata"
    }


def test_a_lock_ends_at_a_date(vault: Vault) -> None:
    date = (datetime.now(UTC) + 36 * HOUR).replace(microsecond=0)

    lock = vault.lock(ExpirationDate=date)

    assert (lock["LockExpiresOn"], lock["LockDuration"]) == (date, 2)
    vault.clock.advance(hours=37)
    assert vault.state() == "expired"


def test_a_cooling_off_period_is_shown(vault: Vault) -> None:
    lock = vault.lock("compliance", CoolOffPeriod=24)

    assert (lock["LockState"], lock["CoolOffPeriod"]) == ("compliance-cooloff", 24)
    assert lock["CoolOffPeriodExpiresOn"] - lock["LockCreatedOn"] == DAY
    vault.clock.advance(hours=25)
    assert vault.state() == "compliance"


@pytest.mark.parametrize(
    ("mode", "members"),
    [("governance", {}), ("compliance", {}), ("compliance", {"CoolOffPeriod": 72})],
)
def test_a_locked_snapshot_is_deleted_when_its_lock_has_expired(
    vault: Vault, mode: str, members: dict[str, Any]
) -> None:
    vault.lock(mode, **members)

    for days in (0, 5, 4.9):
        vault.clock.advance(days=days)
        with refused("OperationNotPermitted"):
            vault.delete()

    vault.clock.advance(days=0.2)
    assert vault.state() == "expired"
    vault.delete()
    assert vault.ec2.describe_locked_snapshots()["Snapshots"] == []


def test_a_snapshot_that_is_unlocked_is_deleted(vault: Vault) -> None:
    vault.lock()

    assert vault.ec2.unlock_snapshot(SnapshotId=vault.snapshot_id)["SnapshotId"] == vault.snapshot_id

    assert vault.ec2.describe_locked_snapshots(SnapshotIds=[vault.snapshot_id])["Snapshots"] == []
    vault.delete()


def test_a_lock_in_compliance_mode_is_taken_off_only_while_it_cools_off(vault: Vault) -> None:
    vault.lock("compliance", CoolOffPeriod=2)
    vault.ec2.unlock_snapshot(SnapshotId=vault.snapshot_id)

    vault.lock("compliance", CoolOffPeriod=2)
    vault.clock.advance(hours=3)
    with refused("OperationNotPermitted"):
        vault.ec2.unlock_snapshot(SnapshotId=vault.snapshot_id)
    with refused("OperationNotPermitted"):
        vault.delete()


def test_what_is_not_locked_is_not_unlocked(vault: Vault) -> None:
    with refused("IncorrectState"):
        vault.ec2.unlock_snapshot(SnapshotId=vault.snapshot_id)

    vault.lock()
    vault.clock.advance(days=11)

    with refused("IncorrectState"):
        vault.ec2.unlock_snapshot(SnapshotId=vault.snapshot_id)


def test_a_lock_in_governance_mode_is_changed_in_any_way(vault: Vault) -> None:
    created = vault.lock(LockDuration=30)["LockCreatedOn"]

    vault.clock.advance(hours=1)
    shorter = vault.lock(LockDuration=1)
    assert (shorter["LockState"], shorter["LockCreatedOn"]) == ("governance", created)
    assert shorter["LockExpiresOn"] < created + 2 * DAY
    cooling = vault.lock("compliance", CoolOffPeriod=1)
    assert (cooling["LockState"], cooling["LockCreatedOn"]) == ("compliance-cooloff", created)
    assert vault.lock(LockDuration=2)["LockState"] == "governance"
    assert vault.lock("compliance")["LockState"] == "compliance"


@pytest.mark.parametrize("hours", [None, 1])
def test_a_lock_in_compliance_mode_is_only_made_longer(vault: Vault, hours: int | None) -> None:
    vault.lock("compliance", **({} if hours is None else {"CoolOffPeriod": hours}))
    vault.clock.advance(hours=2)

    forbidden: list[tuple[str, dict[str, Any]]] = [
        ("governance", {"LockDuration": 100}),
        ("compliance", {"LockDuration": 9}),
        ("compliance", {"ExpirationDate": vault.clock() + DAY}),
        ("compliance", {"LockDuration": 100, "CoolOffPeriod": 1}),
    ]
    for mode, members in forbidden:
        with refused("OperationNotPermitted"):
            vault.lock(mode, **members)

    assert vault.lock("compliance", LockDuration=11)["LockDuration"] == 11
    assert vault.lock("compliance", ExpirationDate=vault.clock() + 20 * DAY)["LockDuration"] == 20
    assert vault.state() == "compliance"


def test_an_expired_lock_is_replaced_by_a_new_one(vault: Vault) -> None:
    created = vault.lock("compliance")["LockCreatedOn"]
    vault.clock.advance(days=11)

    lock = vault.lock("governance", LockDuration=1)

    assert lock["LockState"] == "governance"
    assert lock["LockCreatedOn"] - created > 10 * DAY


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"LockDuration": 1, "ExpirationDate": datetime.now(UTC) + DAY}, "InvalidParameterCombination"),
        ({"LockDuration": 36501}, "InvalidParameterValue"),
        ({"ExpirationDate": datetime.now(UTC) - HOUR}, "InvalidParameterValue"),
        ({"ExpirationDate": datetime.now(UTC) + 36502 * DAY}, "InvalidParameterValue"),
        ({"LockDuration": 1, "CoolOffPeriod": 1}, "InvalidParameterCombination"),
        ({"LockDuration": 1, "LockMode": "compliance", "CoolOffPeriod": 73}, "InvalidParameterValue"),
        ({"LockDuration": 1, "LockMode": "legal-hold"}, "InvalidParameterValue"),
    ],
)
def test_a_lock_of_a_wrong_form_is_refused(shop: Shop, members: dict[str, Any], code: str) -> None:
    snapshot_id = snapshot_of(shop.ec2, shop.image_id)

    with refused(code):
        shop.ec2.lock_snapshot(**{"SnapshotId": snapshot_id, "LockMode": "governance", **members})

    assert shop.ec2.describe_locked_snapshots()["Snapshots"] == []


def test_locked_snapshots_are_found_by_state_and_come_in_pages(vault: Vault) -> None:
    wanted: list[tuple[Any, dict[str, Any]]] = [
        ("governance", {"LockDuration": 1}),
        ("governance", {"LockDuration": 9}),
        ("governance", {"LockDuration": 9}),
        ("compliance", {"LockDuration": 9}),
        ("compliance", {"LockDuration": 9, "CoolOffPeriod": 72}),
        ("compliance", {"LockDuration": 9, "CoolOffPeriod": 1}),
        ("compliance", {"LockDuration": 1, "CoolOffPeriod": 1}),
    ]
    for mode, members in wanted:
        vault.ec2.lock_snapshot(SnapshotId=vault.snapshot(), LockMode=mode, **members)
    vault.clock.advance(hours=25)

    for state, expected in [("governance", 2), ("compliance", 2), ("compliance-cooloff", 1), ("expired", 2)]:
        filters: Any = [{"Name": "lock-state", "Values": [state]}]
        found = vault.ec2.describe_locked_snapshots(Filters=filters)["Snapshots"]
        assert [it["LockState"] for it in found] == [state] * expected
    first = vault.ec2.describe_locked_snapshots(MaxResults=5)
    rest = vault.ec2.describe_locked_snapshots(MaxResults=5, NextToken=first["NextToken"])
    assert (len(first["Snapshots"]), len(rest["Snapshots"]), rest.get("NextToken")) == (5, 2, None)


def test_questions_of_a_wrong_form_are_refused(alice: "EC2Client") -> None:
    with refused("InvalidParameterValue"):
        alice.describe_locked_snapshots(Filters=[{"Name": "lock-mode", "Values": ["governance"]}])
    with refused("InvalidParameterValue"):
        alice.describe_locked_snapshots(MaxResults=1001)
    with refused("InvalidNextToken"):
        alice.describe_locked_snapshots(NextToken="none")


def test_an_image_with_locked_snapshots_is_deregistered_and_they_stay(shop: Shop) -> None:
    snapshot_id = snapshot_of(shop.ec2, shop.image_id)
    shop.ec2.lock_snapshot(SnapshotId=snapshot_id, LockMode="governance", LockDuration=1)

    answer = shop.ec2.deregister_image(ImageId=shop.image_id, DeleteAssociatedSnapshots=True)

    assert answer["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "client-error"}]
    assert shop.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]


def test_a_locked_snapshot_is_used_as_any_other_and_its_copy_is_not_locked(shop: Shop) -> None:
    snapshot_id = snapshot_of(shop.ec2, shop.image_id)
    shop.ec2.lock_snapshot(SnapshotId=snapshot_id, LockMode="compliance", LockDuration=1)

    assert shop.launch()["State"]["Name"] == "running"
    shop.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)
    copy_id = shop.ec2.copy_snapshot(SourceSnapshotId=snapshot_id, SourceRegion="us-east-1")["SnapshotId"]
    shop.ec2.delete_snapshot(SnapshotId=copy_id)


def test_a_stranger_locks_unlocks_and_sees_no_lock(shop: Shop, bob: "EC2Client") -> None:
    snapshot_id = snapshot_of(shop.ec2, shop.image_id)
    shop.ec2.lock_snapshot(SnapshotId=snapshot_id, LockMode="governance", LockDuration=1)

    with refused("InvalidSnapshot.NotFound"):
        bob.unlock_snapshot(SnapshotId=snapshot_id)
    shop.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, CreateVolumePermission={"Add": [{"UserId": account_of(bob)}]}
    )

    with refused("AuthFailure", status=403):
        bob.unlock_snapshot(SnapshotId=snapshot_id)
    with refused("AuthFailure", status=403):
        bob.lock_snapshot(SnapshotId=snapshot_id, LockMode="governance", LockDuration=1)
    with refused("InvalidSnapshot.NotFound"):
        bob.describe_locked_snapshots(SnapshotIds=[snapshot_id])
    assert bob.describe_locked_snapshots()["Snapshots"] == []


def test_locks_survive_a_restart(vault: Vault, tmp_path: Path) -> None:
    assert tmp_path.exists()
    vault.lock("compliance", CoolOffPeriod=3)
    before = vault.ec2.describe_locked_snapshots()["Snapshots"]

    vault.running.server.context.store._read()

    assert vault.ec2.describe_locked_snapshots()["Snapshots"] == before
