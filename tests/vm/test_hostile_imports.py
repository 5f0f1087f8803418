"""Each known hostile file as an object that somebody imports, with the real store: nothing of it stays."""

import time
from pathlib import Path
from typing import Any

import pytest
from tests.contract import hostile_archives, hostile_disks
from tests.contract.test_qcow2_imports import REFUSALS, named_pipe
from tests.vm.guest import wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.one_user, pytest.mark.timeout(60)]

BUCKET = "hostile"
#: A second at the most on a host with nothing else to do; one that works at other things may take its time.
LONGEST_S = 20.0

#: A pipe is no object.
HOSTILE = {name: make for name, (make, _) in (hostile_disks.SHAPES | hostile_archives.SHAPES).items()} | {
    make.__name__: make for make in REFUSALS if make is not named_pipe
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_file_is_refused_within_a_second_and_leaves_nothing(host: Host, shape: str) -> None:
    folder = host.home / "buckets" / BUCKET
    folder.mkdir(parents=True, exist_ok=True)
    HOSTILE[shape](folder / "file")
    before = what_is_there(host)
    begun = time.monotonic()

    containers: Any = [{"UserBucket": {"S3Bucket": BUCKET, "S3Key": "file"}}]
    task_id = host.ec2.import_image(DiskContainers=containers)["ImportTaskId"]
    wait_for(lambda: task(host, task_id)["Status"] != "active", "the import has ended", poll_s=0.02)

    assert time.monotonic() - begun < LONGEST_S
    assert task(host, task_id)["Status"] == "deleted"
    assert task(host, task_id)["StatusMessage"].startswith("ClientError: Disk validation failed [")
    for path in folder.iterdir():
        path.unlink()
    assert what_is_there(host) == before


def task(host: Host, task_id: str) -> Any:
    return host.ec2.describe_import_image_tasks(ImportTaskIds=[task_id])["ImportImageTasks"][0]


def what_is_there(host: Host) -> tuple[set[str], set[str], set[Path]]:
    images = {image["ImageId"] for image in host.ec2.describe_images(Owners=["self"])["Images"]}
    snapshots = {it["SnapshotId"] for it in host.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    files = {path for kind in ("volumes", "transfers") for path in (host.home / kind).rglob("*")}
    return images, snapshots, files
