"""The EBS direct APIs by boto3: snapshots read and written by blocks."""

import random
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer

from bakehouse.ports.snapshot_blocks import BLOCK_BYTES

ZEROS = bytes(BLOCK_BYTES)


@cache
def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


def checksum(data: bytes) -> str:
    return b64encode(sha256(data).digest()).decode()


def linear(blocks: Mapping[int, bytes]) -> str:
    """The checksum of all blocks, as clients aggregate it."""
    return checksum(b"".join(sha256(blocks[index]).digest() for index in sorted(blocks)))


class Uploader:
    """An account that writes snapshots."""

    def __init__(self, running: RunningServer, account: str) -> None:
        self.ebs: Any = running.client("ebs", account)
        self.ebs._serializer = self.ebs._serializer._serializer  # what boto3 would refuse itself is sent
        self.ec2: Any = running.ec2(account)
        self.account_id = running.access_key(account).account_id

    def start(self, size: int = 1, **members: Any) -> str:
        snapshot_id: str = self.ebs.start_snapshot(VolumeSize=size, **members)["SnapshotId"]
        return snapshot_id

    def put(self, snapshot_id: str, index: int, data: bytes, **members: Any) -> Any:
        request = {
            "SnapshotId": snapshot_id,
            "BlockIndex": index,
            "BlockData": data,
            "DataLength": len(data),
            "Checksum": checksum(data),
            "ChecksumAlgorithm": "SHA256",
            **members,
        }
        return self.ebs.put_snapshot_block(**request)

    def complete(self, snapshot_id: str, count: int, **members: Any) -> Any:
        return self.ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=count, **members)

    def snapshot(self, blocks: Mapping[int, bytes], size: int = 1, **members: Any) -> str:
        """Make a snapshot of blocks."""
        snapshot_id = self.start(size, **members)
        for index, data in blocks.items():
            self.put(snapshot_id, index, data)
        self.complete(snapshot_id, len(blocks))
        return snapshot_id

    def listed(self, snapshot_id: str, **members: Any) -> dict[int, str]:
        """All blocks of a snapshot with their tokens, page by page."""
        found: dict[int, str] = {}
        while True:
            answer = self.ebs.list_snapshot_blocks(SnapshotId=snapshot_id, **members)
            found |= {each["BlockIndex"]: each["BlockToken"] for each in answer["Blocks"]}
            if "NextToken" not in answer:
                return found
            members["NextToken"] = answer["NextToken"]

    def get(self, snapshot_id: str, index: int, token: str) -> bytes:
        answer = self.ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=index, BlockToken=token)
        data: bytes = answer["BlockData"].read()
        assert (answer["DataLength"], answer["ChecksumAlgorithm"]) == (BLOCK_BYTES, "SHA256")
        assert answer["Checksum"] == checksum(data)
        return data

    def content(self, snapshot_id: str) -> dict[int, bytes]:
        return {index: self.get(snapshot_id, index, token) for index, token in self.listed(snapshot_id).items()}

    def state(self, snapshot_id: str) -> str:
        (snapshot,) = self.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
        state: str = snapshot["State"]
        return state


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> Uploader:
    return Uploader(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> Uploader:
    return Uploader(shared, f"bob of {request.node.nodeid}")


def refused(call: Any, /, *arguments: Any, **parameters: Any) -> tuple[str, str | None, int]:
    """Return code, reason and status of a refusal."""
    with pytest.raises(ClientError) as refusal:
        call(*arguments, **parameters)
    response: Any = refusal.value.response
    return response["Error"]["Code"], response.get("Reason"), response["ResponseMetadata"]["HTTPStatusCode"]


def invalid(reason: str) -> tuple[str, str, int]:
    return "ValidationException", reason, 400


NOT_THERE = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)


# --- writing


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
        ({"Encrypted": True}, ("UnsupportedOperation", None, 400)),
        ({"KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/a"}, ("UnsupportedOperation", None, 400)),
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


def test_a_snapshot_of_a_volume_is_not_written(alice: Uploader) -> None:
    volume = alice.ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    snapshot_id = alice.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    assert refused(alice.put, snapshot_id, 1, block(1)) == invalid("INVALID_SNAPSHOT_ID")
    assert refused(alice.complete, snapshot_id, 0) == invalid("INVALID_SNAPSHOT_ID")


# --- reading


def test_pages_hold_all_blocks(alice: Uploader) -> None:
    blocks = dict.fromkeys(range(0, 500, 2), block(1))
    snapshot_id = alice.snapshot(blocks)

    answer = alice.ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
    assert (len(answer["Blocks"]), answer["VolumeSize"], answer["BlockSize"]) == (100, 1, BLOCK_BYTES)
    assert timedelta(days=6.9) < answer["ExpiryTime"] - datetime.now(UTC) < timedelta(days=7.1)
    assert list(alice.listed(snapshot_id)) == list(blocks)
    assert list(alice.listed(snapshot_id, MaxResults=10000)) == list(blocks)
    assert list(alice.listed(snapshot_id, MaxResults=110, StartingBlockIndex=201)) == list(range(202, 500, 2))
    for size in (99, 10001):
        assert refused(alice.ebs.list_snapshot_blocks, SnapshotId=snapshot_id, MaxResults=size) == invalid(
            "INVALID_PARAMETER_VALUE"
        )


def test_a_page_token_is_good_for_its_question_only(alice: Uploader, bob: Uploader) -> None:
    snapshot_id = alice.snapshot(dict.fromkeys(range(101), block(1)))
    other = alice.snapshot({1: block(1)})
    token = alice.ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["NextToken"]
    alice.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, Attribute="createVolumePermission", OperationType="add", UserIds=[bob.account_id]
    )

    for who, asked, given in ((alice, other, token), (bob, snapshot_id, token), (alice, snapshot_id, "AAAA")):
        call = who.ebs.list_snapshot_blocks
        assert refused(call, SnapshotId=asked, NextToken=given) == invalid("INVALID_PAGE_TOKEN")


def test_a_block_token_is_good_for_its_block_only(alice: Uploader) -> None:
    snapshot_id = alice.snapshot({1: block(1), 2: block(2)})
    other = alice.snapshot({1: block(1)})
    tokens = alice.listed(snapshot_id)
    forged = ("A" if tokens[1][0] != "A" else "B") + tokens[1][1:]

    for asked, index, token in (
        (snapshot_id, 2, tokens[1]),
        (other, 1, tokens[1]),
        (snapshot_id, 1, forged),
        (snapshot_id, 1, "AAAA"),
        (snapshot_id, 1, tokens[1][:-1]),
    ):
        call = alice.ebs.get_snapshot_block
        assert refused(call, SnapshotId=asked, BlockIndex=index, BlockToken=token) == invalid("INVALID_BLOCK_TOKEN")


def test_tokens_expire(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = Uploader(running, "alice")
    snapshot_id = alice.snapshot(dict.fromkeys(range(101), block(1)))
    answer = alice.ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
    token, page = answer["Blocks"][0]["BlockToken"], answer["NextToken"]
    blocks = running.server.app.snapshot_blocks
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(blocks, "now", lambda: later)

    call = alice.ebs.list_snapshot_blocks
    assert refused(call, SnapshotId=snapshot_id, NextToken=page) == invalid("INVALID_PAGE_TOKEN")
    assert alice.get(snapshot_id, 0, token) == block(1)
    monkeypatch.setattr(blocks, "now", lambda: later + timedelta(days=7))
    read = alice.ebs.get_snapshot_block
    assert refused(read, SnapshotId=snapshot_id, BlockIndex=0, BlockToken=token) == invalid("INVALID_BLOCK_TOKEN")


def test_changed_blocks_lead_to_both_snapshots(alice: Uploader) -> None:
    first = alice.snapshot({1: block(1), 2: block(2), 3: block(3)})
    second = alice.snapshot({2: block(4), 3: ZEROS, 9: block(5)}, size=2, ParentSnapshotId=first)

    answer = alice.ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)

    assert (answer["VolumeSize"], answer["BlockSize"], "NextToken" in answer) == (2, BLOCK_BYTES, False)
    changed = {each["BlockIndex"]: each for each in answer["ChangedBlocks"]}
    assert list(changed) == [2, 3, 9]
    assert ["FirstBlockToken" in each for each in changed.values()] == [True, True, False]
    assert alice.get(first, 2, changed[2]["FirstBlockToken"]) == block(2)
    assert alice.get(second, 2, changed[2]["SecondBlockToken"]) == block(4)
    assert alice.get(second, 3, changed[3]["SecondBlockToken"]) == ZEROS
    assert alice.get(second, 9, changed[9]["SecondBlockToken"]) == block(5)


def test_pages_hold_all_changed_blocks(alice: Uploader) -> None:
    first = alice.snapshot({})
    second = alice.snapshot(dict.fromkeys(range(250), block(1)), ParentSnapshotId=first)
    call = alice.ebs.list_changed_blocks
    found: list[int] = []
    members: Any = {"FirstSnapshotId": first, "SecondSnapshotId": second, "MaxResults": 100, "StartingBlockIndex": 20}
    while True:
        answer = call(**members)
        found += [each["BlockIndex"] for each in answer["ChangedBlocks"]]
        if "NextToken" not in answer:
            break
        members["NextToken"] = answer["NextToken"]

    assert found == list(range(20, 250))


def test_snapshots_that_cannot_be_compared_are_refused(alice: Uploader) -> None:
    first, stranger = alice.snapshot({1: block(1)}), alice.snapshot({1: block(1)})
    call = alice.ebs.list_changed_blocks

    assert refused(call, FirstSnapshotId=first, SecondSnapshotId=stranger) == invalid("UNRELATED_SNAPSHOTS")
    assert refused(call, SecondSnapshotId=first) == invalid("INVALID_PARAMETER_VALUE")
    assert refused(call, FirstSnapshotId="snap-0", SecondSnapshotId=first) == NOT_THERE


def test_a_pending_snapshot_is_not_read(alice: Uploader) -> None:
    snapshot_id = alice.start()

    assert refused(alice.listed, snapshot_id) == invalid("INVALID_SNAPSHOT_ID")
    assert refused(alice.start, ParentSnapshotId=snapshot_id) == invalid("INVALID_SNAPSHOT_ID")


# --- other accounts and regions


def test_another_account_finds_nothing_before_it_is_shared(alice: Uploader, bob: Uploader) -> None:
    snapshot_id, pending = alice.snapshot({1: block(1)}), alice.start()
    token = alice.listed(snapshot_id)[1]
    read = {"SnapshotId": snapshot_id, "BlockIndex": 1, "BlockToken": token}

    assert refused(bob.listed, snapshot_id) == NOT_THERE
    assert refused(bob.start, ParentSnapshotId=snapshot_id) == NOT_THERE
    assert refused(bob.put, pending, 1, block(1)) == NOT_THERE
    assert refused(bob.complete, pending, 0) == NOT_THERE
    assert refused(bob.ebs.get_snapshot_block, **read) == invalid("INVALID_BLOCK_TOKEN")

    alice.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot_id, Attribute="createVolumePermission", OperationType="add", UserIds=[bob.account_id]
    )
    assert bob.content(snapshot_id) == {1: block(1)}
    child = bob.snapshot({2: block(2)}, ParentSnapshotId=snapshot_id)
    assert bob.content(child) == {1: block(1), 2: block(2)}
    assert refused(alice.listed, child) == NOT_THERE
    assert refused(bob.put, snapshot_id, 1, block(3)) == NOT_THERE


def test_a_snapshot_is_in_its_region_only(shared: RunningServer, alice: Uploader, request: Any) -> None:
    snapshot_id = alice.snapshot({1: block(1)})
    elsewhere: Any = shared.client("ebs", f"alice of {request.node.nodeid}", "eu-west-1")

    assert refused(elsewhere.list_snapshot_blocks, SnapshotId=snapshot_id) == NOT_THERE
    assert refused(elsewhere.start_snapshot, VolumeSize=1, ParentSnapshotId=snapshot_id) == NOT_THERE


# --- time


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


# --- coldsnap


def test_the_way_of_coldsnap_up_and_down(alice: Uploader) -> None:
    """As coldsnap does it: 64 workers, no order, blocks tried again, blocks of zeros left out, one checksum of all.

    Source: coldsnap, upload.rs and download.rs.
    """
    disk = {index: block(index % 5) for index in random.Random(7).sample(range(2048), 150)}
    snapshot_id = alice.start(Timeout=10, Description="coldsnap")
    attempts = [*disk, *random.Random(8).sample(sorted(disk), 40)]
    random.Random(9).shuffle(attempts)

    with ThreadPoolExecutor(64) as workers:
        list(workers.map(lambda index: alice.put(snapshot_id, index, disk[index]), attempts))
    alice.complete(
        snapshot_id,
        len(disk),
        Checksum=linear(disk),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    listed = list(alice.listed(snapshot_id, MaxResults=10000).items())
    random.Random(10).shuffle(listed)
    with ThreadPoolExecutor(64) as workers:
        read = dict(workers.map(lambda it: (it[0], alice.get(snapshot_id, *it)), listed))

    assert read == disk
