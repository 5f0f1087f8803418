"""Each known hostile file as an object that somebody imports: the task fails, at once and with the reason."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract import hostile_archives, hostile_disks
from tests.contract.test_qcow2_imports import REFUSALS, named_pipe
from tests.server import RunningServer
from tests.system.transfers import Bucket, ended_import, ended_snapshot_import

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

#: A second at the most on a host with nothing else to do; one that works at other things may take its time.
LONGEST_S = 20.0

#: Those that are seen when they are read to their ends, which the fake store does not do.
_SEEN_LATER = {
    "VMDK: cut short",
    "VHD: cut short",
    "VHDX: cut short",
    "VHD: a block outside",
    "qcow2: one cluster a million times",
    "truncated_qcow2",
    "tables_outside_of_the_file",
    "header_alone",
}

HOSTILE = {
    name: make
    for name, make in [
        *((name, make) for name, (make, _) in (hostile_disks.SHAPES | hostile_archives.SHAPES).items()),
        # A pipe is no object.
        *((make.__name__, make) for make in REFUSALS if make is not named_pipe),
    ]
    if name not in _SEEN_LATER
}


@pytest.fixture
def hostile(bucket: Bucket, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The place of a hostile object."""
    folder = tmp_path / "made"
    folder.mkdir()
    HOSTILE[request.node.callspec.params["shape"]](folder / "file")
    bucket.take_file("hostile", folder / "file")
    yield {"S3Bucket": bucket.name, "S3Key": "hostile"}
    bucket.delete("hostile")


def assert_refused_at_once(task: Any, begun: float) -> None:
    assert time.monotonic() - begun < LONGEST_S
    assert task["Status"] == "deleted"
    assert task["StatusMessage"].startswith("ClientError: Disk validation failed [")


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_file_becomes_no_image_and_leaves_nothing(
    shared: RunningServer, alice: "EC2Client", hostile: dict[str, str], shape: str
) -> None:
    assert shape in HOSTILE
    alice.describe_images(Owners=["self"])
    begun = time.monotonic()

    containers: Any = [{"UserBucket": hostile}]
    task = ended_import(alice, alice.import_image(DiskContainers=containers)["ImportTaskId"])

    assert_refused_at_once(task, begun)
    assert alice.describe_images(Owners=["self"])["Images"] == []
    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert not (shared.home / "transfers" / task["ImportTaskId"]).exists()


@pytest.mark.parametrize("shape", [shape for shape in HOSTILE if not shape.startswith("OVA")])
def test_a_hostile_file_becomes_no_snapshot(alice: "EC2Client", hostile: Any, shape: str) -> None:
    assert shape in HOSTILE
    alice.describe_images(Owners=["self"])
    begun = time.monotonic()

    task_id = alice.import_snapshot(DiskContainer={"UserBucket": hostile})["ImportTaskId"]
    task = ended_snapshot_import(alice, task_id)["SnapshotTaskDetail"]

    assert_refused_at_once(task, begun)
    assert alice.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
