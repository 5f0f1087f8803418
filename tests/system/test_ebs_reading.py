"""The EBS direct APIs by boto3: snapshots listed, compared and read by blocks, and by whom."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.server import RunningServer
from tests.system.uploader import NOT_THERE, ZEROS, Uploader, block, invalid, refused

from bakehouse.ports.snapshot_blocks import BLOCK_BYTES


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> Uploader:
    return Uploader(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> Uploader:
    return Uploader(shared, f"bob of {request.node.nodeid}")


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
