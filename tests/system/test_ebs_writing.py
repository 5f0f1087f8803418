"""The EBS direct APIs by boto3: snapshots written by blocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.uploader import NOT_THERE, Uploader, block, checksum, invalid, linear, refused

from bakehouse.ports.snapshot_blocks import BLOCK_BYTES


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> Uploader:
    return Uploader(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> Uploader:
    return Uploader(shared, f"bob of {request.node.nodeid}")


def test_a_started_snapshot_is_answered_as_aws_does(alice: Uploader) -> None:
    answer = alice.ebs.start_snapshot(
        VolumeSize=8, Description="a backup", Timeout=10, Tags=[{"Key": "k", "Value": "v"}, {"Key": "e", "Value": ""}]
    )

    assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 201
    assert answer.pop("StartTime") <= datetime.now(UTC)
    snapshot_id = answer.pop("SnapshotId")
    assert answer == {
        "Description": "a backup",
        "OwnerId": alice.account_id,
        "Status": "pending",
        "VolumeSize": 8,
        "BlockSize": BLOCK_BYTES,
        "Tags": [{"Key": "k", "Value": "v"}, {"Key": "e", "Value": ""}],
    }
    (shown,) = alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert (shown["State"], shown["VolumeId"], shown["VolumeSize"]) == ("pending", "vol-ffffffff", 8)
    assert (shown["Description"], shown["Progress"], shown["Encrypted"]) == ("a backup", "0%", False)
    assert shown["Tags"] == [{"Key": "k", "Value": "v"}, {"Key": "e", "Value": ""}]


def test_what_was_written_is_read_back(alice: Uploader) -> None:
    blocks = {0: block(1), 5: block(2), 2047: block(3)}
    snapshot_id = alice.start()
    for index, data in blocks.items():
        answer = alice.put(snapshot_id, index, data)
        assert (answer["Checksum"], answer["ChecksumAlgorithm"]) == (checksum(data), "SHA256")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201

    answer = alice.complete(
        snapshot_id,
        3,
        Checksum=linear(blocks),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )

    assert (answer["Status"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("completed", 202)
    assert alice.content(snapshot_id) == blocks
    alice.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"MaxAttempts": 1})


def test_progress_is_shown(alice: Uploader) -> None:
    snapshot_id = alice.start()

    alice.put(snapshot_id, 1, block(1), Progress=42)

    (shown,) = alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert shown["Progress"] == "42%"
    alice.complete(snapshot_id, 1)
    (shown,) = alice.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    assert shown["Progress"] == "100%"


def test_a_child_has_what_its_parent_has_and_what_was_written(alice: Uploader) -> None:
    parent = alice.snapshot({1: block(1), 2: block(2)})

    child = alice.snapshot({2: block(3), 2048: block(4)}, size=2, ParentSnapshotId=parent)

    assert alice.content(child) == {1: block(1), 2: block(3), 2048: block(4)}
    alice.ec2.delete_snapshot(SnapshotId=parent)
    assert alice.content(child) == {1: block(1), 2: block(3), 2048: block(4)}


def test_a_client_token_starts_one_snapshot(alice: Uploader, bob: Uploader) -> None:
    first = alice.start(ClientToken="t")

    assert alice.start(ClientToken="t") == first
    assert refused(alice.start, 2, ClientToken="t")[0] == "ConflictException"
    assert refused(alice.start, 2, ClientToken="t")[2] == 409
    assert bob.start(ClientToken="t") != first


def test_completing_twice_is_completing_once(alice: Uploader) -> None:
    snapshot_id = alice.snapshot({1: block(1)})

    assert alice.complete(snapshot_id, 1)["Status"] == "completed"
    assert refused(alice.complete, snapshot_id, 2) == invalid("INVALID_SNAPSHOT_ID")
    assert refused(alice.put, snapshot_id, 1, block(2)) == invalid("INVALID_SNAPSHOT_ID")


def test_a_volume_and_an_image_can_be_made_of_it(alice: Uploader) -> None:
    snapshot_id = alice.snapshot({0: block(1)})

    volume = alice.ec2.create_volume(SnapshotId=snapshot_id, AvailabilityZone="us-east-1a")
    mapping = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot_id}}]
    image = alice.ec2.register_image(Name="made", RootDeviceName="/dev/xvda", BlockDeviceMappings=mapping)

    assert (volume["Size"], volume["SnapshotId"]) == (1, snapshot_id)
    assert image["ImageId"].startswith("ami-")


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({"VolumeSize": 65537}, invalid("INVALID_VOLUME_SIZE")),
        ({"VolumeSize": 0}, invalid("INVALID_PARAMETER_VALUE")),
        ({"Timeout": 9}, invalid("INVALID_PARAMETER_VALUE")),
        ({"Timeout": 4321}, invalid("INVALID_PARAMETER_VALUE")),
        ({"Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}, invalid("INVALID_TAG")),
        ({"Tags": [{"Key": "aws:k", "Value": "1"}]}, invalid("INVALID_TAG")),
        ({"ParentSnapshotId": "snap-0123456789abcdef0"}, NOT_THERE),
        ({"ParentSnapshotId": "vol-1"}, invalid("INVALID_PARAMETER_VALUE")),
        ({"KmsKeyArn": "alias/a"}, invalid("INVALID_PARAMETER_VALUE")),
        ({"KmsKeyArn": "alias/none", "Encrypted": True}, invalid("INVALID_PARAMETER_VALUE")),
    ],
)
def test_what_cannot_be_started_is_refused(alice: Uploader, members: Any, answer: Any) -> None:
    before = alice.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]

    assert refused(alice.ebs.start_snapshot, **{"VolumeSize": 1, **members}) == answer

    assert alice.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == before


def test_a_child_smaller_than_its_parent_is_refused(alice: Uploader) -> None:
    parent = alice.snapshot({}, size=2)

    assert refused(alice.start, ParentSnapshotId=parent) == invalid("INVALID_VOLUME_SIZE")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"BlockIndex": 2048}, "INVALID_BLOCK"),
        ({"BlockIndex": -1}, "INVALID_PARAMETER_VALUE"),
        ({"BlockData": b"short", "DataLength": 5}, "INVALID_PARAMETER_VALUE"),
        ({"DataLength": 5}, "INVALID_PARAMETER_VALUE"),
        ({"BlockData": b""}, "INVALID_PARAMETER_VALUE"),
        ({"Checksum": checksum(b"other")}, "INVALID_PARAMETER_VALUE"),
        ({"Checksum": "AAAA"}, "INVALID_PARAMETER_VALUE"),
        ({"Checksum": "!"}, "INVALID_PARAMETER_VALUE"),
        ({"ChecksumAlgorithm": "MD5"}, "INVALID_PARAMETER_VALUE"),
        ({"Progress": 101}, "INVALID_PARAMETER_VALUE"),
        ({"SnapshotId": "snap-xyz"}, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_what_is_no_block_is_refused_and_not_written(alice: Uploader, members: Any, reason: str) -> None:
    snapshot_id = alice.start()
    request = {"snapshot_id": snapshot_id, "index": 1, "data": block(1)}

    assert refused(alice.put, **request, **members) == invalid(reason)

    alice.complete(snapshot_id, 0)


def test_a_count_or_checksum_that_is_not_right_is_refused_and_may_be_mended(alice: Uploader) -> None:
    snapshot_id = alice.start()
    alice.put(snapshot_id, 1, block(1))
    method = {"ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}

    for count, members in (
        (2, {}),
        (0, {}),
        (1, {"Checksum": checksum(b"other"), **method}),
        (1, {"Checksum": linear({1: block(1)})}),
        (1, {"ChecksumAlgorithm": "SHA256"}),
        (1, {"Checksum": "AAAA", **method}),
    ):
        assert refused(alice.complete, snapshot_id, count, **members) == invalid("INVALID_PARAMETER_VALUE")
    assert alice.state(snapshot_id) == "pending"
    assert alice.complete(snapshot_id, 1, Checksum=linear({1: block(1)}), **method)["Status"] == "completed"


def test_a_snapshot_that_is_deleted_while_it_is_written_is_gone(alice: Uploader) -> None:
    snapshot_id = alice.start()
    alice.put(snapshot_id, 1, block(1))

    alice.ec2.delete_snapshot(SnapshotId=snapshot_id)

    assert refused(alice.put, snapshot_id, 2, block(1)) == NOT_THERE
    assert refused(alice.complete, snapshot_id, 1) == NOT_THERE


def test_what_is_not_complete_is_not_kept_in_the_recycle_bin(running: RunningServer) -> None:
    alice = Uploader(running, "alice")
    period = {"RetentionPeriodValue": 7, "RetentionPeriodUnit": "DAYS"}
    running.client("rbin", "alice").create_rule(ResourceType="EBS_SNAPSHOT", RetentionPeriod=period)
    pending, complete = alice.start(), alice.snapshot({1: block(1)})

    for snapshot_id in (pending, complete):
        alice.ec2.delete_snapshot(SnapshotId=snapshot_id)

    kept = alice.ec2.list_snapshots_in_recycle_bin()["Snapshots"]
    assert [snapshot["SnapshotId"] for snapshot in kept] == [complete]
    assert running.call(running.server.context.volumes.blocks.uploads()) == frozenset()


def test_a_snapshot_of_a_volume_is_not_written(alice: Uploader) -> None:
    volume = alice.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    snapshot_id = alice.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    assert refused(alice.put, snapshot_id, 1, block(1)) == invalid("INVALID_SNAPSHOT_ID")
    assert refused(alice.complete, snapshot_id, 0) == invalid("INVALID_SNAPSHOT_ID")


def test_a_snapshot_that_nobody_writes_ends(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Uploader(running, "alice")
    left, long, done = alice.start(Timeout=10), alice.start(Timeout=4320), alice.snapshot({1: block(1)}, Timeout=10)
    context = running.server.context
    app = running.server.app
    running.call(app.snapshot_blocks.expire())
    assert [alice.state(each) for each in (left, long, done)] == ["pending", "pending", "completed"]

    later = datetime.now(UTC) + timedelta(minutes=11)
    blocks: Any = app.snapshot_blocks
    monkeypatch.setattr(blocks, "_context", _at(blocks._context, later))
    running.call(app.snapshot_blocks.expire())
    running.call(app.snapshot_blocks.expire())

    assert [alice.state(each) for each in (left, long, done)] == ["error", "pending", "completed"]
    assert refused(alice.put, left, 1, block(1)) == invalid("INVALID_SNAPSHOT_ID")
    assert running.call(context.volumes.blocks.uploads()) == {long}
    alice.ec2.delete_snapshot(SnapshotId=left)


def _at(context: Any, moment: datetime) -> Any:
    return replace(context, now=lambda: moment)


def test_an_upload_that_was_lost_ends(running: RunningServer) -> None:
    alice = Uploader(running, "alice")
    snapshot_id = alice.start()
    running.call(running.server.context.volumes.blocks.cancel(snapshot_id))

    assert refused(alice.put, snapshot_id, 1, block(1)) == invalid("INVALID_SNAPSHOT_ID")
    assert refused(alice.complete, snapshot_id, 0) == invalid("INVALID_SNAPSHOT_ID")
    running.call(running.server.app.snapshot_blocks.expire())

    assert alice.state(snapshot_id) == "error"
