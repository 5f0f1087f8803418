"""Storage tiers of snapshots as boto3 sees them."""

import time
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.recycling import Account
from tests.system.refusals import refused

_DEADLINE_S = 30


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> Account:
    return Account(shared, f"bob of {request.node.nodeid}")


def tier_status(account: Account, snapshot_id: str) -> dict[str, Any]:
    filters: Any = [{"Name": "snapshot-id", "Values": [snapshot_id]}]
    (shown,) = account.ec2.describe_snapshot_tier_status(Filters=filters)["SnapshotTierStatuses"]
    return dict(shown)


def moved(account: Account, snapshot_id: str, status: str) -> dict[str, Any]:
    """Wait until a snapshot's last move has ended so, and return its status."""
    deadline = time.monotonic() + _DEADLINE_S
    while (shown := tier_status(account, snapshot_id))["LastTieringOperationStatus"] != status:
        assert time.monotonic() < deadline, shown
        time.sleep(0.01)
    return shown


def archived(account: Account, **tags: str) -> str:
    snapshot_id = account.snapshot(**tags)
    account.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    moved(account, snapshot_id, "archival-completed")
    return snapshot_id


def described(account: Account, snapshot_id: str) -> dict[str, Any]:
    (shown,) = account.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    return dict(shown)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_snapshot_is_born_in_the_standard_tier(alice: Account) -> None:
    snapshot_id = alice.snapshot()

    shown = tier_status(alice, snapshot_id)

    assert (shown["StorageTier"], shown["Status"], shown["OwnerId"]) == ("standard", "completed", alice.account_id)
    assert "LastTieringOperationStatus" not in shown
    assert described(alice, snapshot_id)["StorageTier"] == "standard"


def test_an_archived_snapshot_says_so_and_is_of_no_use(alice: Account) -> None:
    snapshot_id = alice.snapshot(stage="prod")
    before = described(alice, snapshot_id)
    answer = alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    assert answer["SnapshotId"] == snapshot_id
    assert abs(answer["TieringStartTime"] - now()) < timedelta(minutes=1)

    shown = moved(alice, snapshot_id, "archival-completed")

    assert (shown["StorageTier"], shown["LastTieringProgress"]) == ("archive", 100)
    assert shown["LastTieringStartTime"] == answer["TieringStartTime"]
    assert shown["ArchivalCompleteTime"] >= answer["TieringStartTime"]
    assert shown["Tags"] == [{"Key": "stage", "Value": "prod"}]
    assert described(alice, snapshot_id) == {**before, "StorageTier": "archive"}
    zone = "us-east-1a"
    with refused("IncorrectState"):
        alice.ec2.create_volume(AvailabilityZone=zone, SnapshotId=snapshot_id)
    with refused("IncorrectState"):
        alice.ec2.copy_snapshot(SourceSnapshotId=snapshot_id, SourceRegion="us-east-1")
    devices: Any = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}}]
    with refused("IncorrectState"):
        alice.ec2.register_image(Name="web", RootDeviceName="/dev/sda1", BlockDeviceMappings=devices)
    with refused("IncorrectState"):
        alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")


def test_a_snapshot_restored_for_days_says_until_when(alice: Account) -> None:
    snapshot_id = archived(alice)
    answer = alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, TemporaryRestoreDays=5)
    assert (answer["RestoreDuration"], answer["IsPermanentRestore"]) == (5, False)
    assert abs(answer["RestoreStartTime"] - now()) < timedelta(minutes=1)

    shown = moved(alice, snapshot_id, "temporary-restore-completed")

    assert shown["StorageTier"] == "standard"
    assert abs(shown["RestoreExpiryTime"] - now() - timedelta(days=5)) < timedelta(minutes=1)
    assert described(alice, snapshot_id)["RestoreExpiryTime"] == shown["RestoreExpiryTime"]
    alice.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)
    alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, TemporaryRestoreDays=1)
    expires_at = tier_status(alice, snapshot_id)["RestoreExpiryTime"]
    assert abs(expires_at - now() - timedelta(days=1)) < timedelta(minutes=1)


def test_a_snapshot_whose_days_are_over_is_in_the_archive_again(alice: Account) -> None:
    snapshot_id = archived(alice)
    alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, TemporaryRestoreDays=1)
    moved(alice, snapshot_id, "temporary-restore-completed")
    record = alice.running.server.context.store.snapshots[snapshot_id]
    assert record.tiering is not None
    alice.change(replace(record, tiering=replace(record.tiering, restore_expires_at=now())))

    alice.running.call(alice.running.server.app.snapshot_tiers.end_restorations())

    shown = tier_status(alice, snapshot_id)
    assert (shown["StorageTier"], "RestoreExpiryTime" in shown) == ("archive", False)
    with refused("IncorrectState"):
        alice.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)


def test_a_snapshot_restored_for_good_can_be_archived_again(alice: Account) -> None:
    snapshot_id = archived(alice)
    answer = alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)
    assert (answer["IsPermanentRestore"], "RestoreDuration" in answer) == (True, False)
    assert "RestoreExpiryTime" not in moved(alice, snapshot_id, "permanent-restore-completed")
    alice.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot_id)

    alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")

    assert moved(alice, snapshot_id, "archival-completed")["StorageTier"] == "archive"


def test_sharing_ends_when_a_snapshot_is_archived(alice: Account, bob: Account) -> None:
    snapshot_id = alice.snapshot()
    alice.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, CreateVolumePermission={"Add": [{"UserId": bob.account_id}]}
    )
    with refused("AuthFailure", status=403):
        bob.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    moved(alice, snapshot_id, "archival-completed")

    with refused("InvalidSnapshot.NotFound"):
        bob.ec2.describe_snapshots(SnapshotIds=[snapshot_id])


def test_the_snapshot_of_an_image_is_archived_once_the_image_is_disabled(alice: Account) -> None:
    image_id, snapshot_id = alice.image()
    with refused("InvalidSnapshot.InUse"):
        alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    alice.ec2.disable_image(ImageId=image_id)
    alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    moved(alice, snapshot_id, "archival-completed")
    with refused("IncorrectState"):
        alice.ec2.enable_image(ImageId=image_id)
    alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)
    moved(alice, snapshot_id, "permanent-restore-completed")

    alice.ec2.enable_image(ImageId=image_id)

    alice.ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)


def test_snapshots_are_found_by_their_tier_and_their_last_move(alice: Account) -> None:
    standard, archive, restored = alice.snapshot(), archived(alice), archived(alice)
    alice.ec2.restore_snapshot_tier(SnapshotId=restored, TemporaryRestoreDays=1)
    moved(alice, restored, "temporary-restore-completed")

    def found(name: str, value: str) -> list[str]:
        filters: Any = [{"Name": name, "Values": [value]}]
        statuses = alice.ec2.describe_snapshot_tier_status(Filters=filters)["SnapshotTierStatuses"]
        return [status["SnapshotId"] for status in statuses]

    def of_tier(value: str) -> list[str]:
        filters: Any = [{"Name": "storage-tier", "Values": [value]}]
        shown = alice.ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
        return [it["SnapshotId"] for it in shown]

    assert found("last-tiering-operation", "archival-completed") == [archive]
    assert found("last-tiering-operation", "temporary-*") == [restored]
    assert found("snapshot-id", standard) == [standard]
    assert found("volume-id", described(alice, archive)["VolumeId"]) == [archive]
    assert (of_tier("archive"), of_tier("standard")) == ([archive], [standard, restored])
    with refused("InvalidParameterValue"):
        found("storage-tier", "archive")


def test_a_snapshot_shows_what_all_its_blocks_take_also_when_it_is_archived(alice: Account) -> None:
    ebs: Any = alice.running.client("ebs", alice.name)
    snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    data = bytes(range(256)) * 2048
    digest = b64encode(sha256(data).digest()).decode()
    for index in (0, 7, 2000):
        ebs.put_snapshot_block(
            SnapshotId=snapshot_id,
            BlockIndex=index,
            BlockData=data,
            DataLength=len(data),
            Checksum=digest,
            ChecksumAlgorithm="SHA256",
        )
    ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=3)
    alice.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})

    # A few at a time are measured, and other tests have made some, too.
    while "FullSnapshotSizeInBytes" not in described(alice, snapshot_id):
        alice.running.call(alice.running.server.app.snapshot_sizes.measure())
    alice.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
    moved(alice, snapshot_id, "archival-completed")

    assert described(alice, snapshot_id)["FullSnapshotSizeInBytes"] == 3 * len(data)


def test_an_archived_snapshot_goes_into_the_bin_and_comes_back_archived(alice: Account) -> None:
    alice.rule()
    snapshot_id = archived(alice)
    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)
    with refused("InvalidSnapshot.NotFound"):
        alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)

    alice.ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot_id)

    assert described(alice, snapshot_id)["StorageTier"] == "archive"
    alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)
    moved(alice, snapshot_id, "permanent-restore-completed")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "MissingParameter"),
        ({"PermanentRestore": False}, "MissingParameter"),
        ({"PermanentRestore": True, "TemporaryRestoreDays": 1}, "InvalidParameterCombination"),
        ({"TemporaryRestoreDays": 0}, "InvalidParameterValue"),
        ({"TemporaryRestoreDays": 181}, "InvalidParameterValue"),
    ],
)
def test_a_restoration_is_for_days_or_for_good(alice: Account, members: dict[str, Any], code: str) -> None:
    snapshot_id = archived(alice)

    with refused(code):
        alice.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, **members)


def test_what_is_not_archived_is_not_restored(alice: Account) -> None:
    with refused("IncorrectState"):
        alice.ec2.restore_snapshot_tier(SnapshotId=alice.snapshot(), PermanentRestore=True)


def test_a_move_without_a_tier_is_refused(alice: Account) -> None:
    with refused("MissingParameter"):
        alice.ec2.modify_snapshot_tier(SnapshotId=alice.snapshot())


@pytest.mark.parametrize("operation", ["modify_snapshot_tier", "restore_snapshot_tier"])
@pytest.mark.parametrize(
    ("snapshot_id", "code"),
    [
        ("snap-0123456789abcdef0", "InvalidSnapshot.NotFound"),
        ("vol-0123456789abcdef0", "InvalidParameterValue"),
    ],
)
def test_a_snapshot_that_is_none_is_refused(alice: Account, operation: str, snapshot_id: str, code: str) -> None:
    members = {"StorageTier": "archive"} if operation == "modify_snapshot_tier" else {"PermanentRestore": True}

    with refused(code):
        getattr(alice.ec2, operation)(SnapshotId=snapshot_id, **members)


def test_a_stranger_sees_no_tier_and_moves_nothing(alice: Account, bob: Account) -> None:
    snapshot_id = archived(alice)

    assert bob.ec2.describe_snapshot_tier_status()["SnapshotTierStatuses"] == []
    with refused("InvalidSnapshot.NotFound"):
        bob.ec2.restore_snapshot_tier(SnapshotId=snapshot_id, PermanentRestore=True)
    with refused("InvalidSnapshot.NotFound"):
        bob.ec2.modify_snapshot_tier(SnapshotId=snapshot_id, StorageTier="archive")
