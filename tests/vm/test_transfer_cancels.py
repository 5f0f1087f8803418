"""Imports and exports that are cancelled while their bytes flow: nothing of them stays."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.vm.guest import wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.one_user, pytest.mark.timeout(120)]

BUCKET = "cancels"
MIB = 1 << 20
#: A disk that takes a second or so to import and to export.
LONG_MIB = 128
DELAYS_MS = (0, 20, 60, 150, 400, 900)


@pytest.fixture(scope="module")
def bucket(host: Host) -> Path:
    """A bucket with a disk in it."""
    folder = host.home / "buckets" / BUCKET
    folder.mkdir(parents=True)
    (folder / "long.raw").write_bytes(os.urandom(LONG_MIB * MIB))
    return folder


@pytest.fixture(scope="module")
def image_id(host: Host, bucket: Path) -> str:
    """An image of that disk."""
    return host.bakehouse("image", "import", str(bucket / "long.raw"), "--name", "long").stdout.strip()


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
def test_a_cancelled_import_leaves_nothing(host: Host, bucket: Path, image_id: str, delay_ms: int) -> None:
    before = what_is_there(host, bucket)
    where: Any = [{"UserBucket": {"S3Bucket": BUCKET, "S3Key": "long.raw"}}]
    task_id = host.ec2.import_image(DiskContainers=where)["ImportTaskId"]
    time.sleep(delay_ms / 1000)

    def task() -> Any:
        return host.ec2.describe_import_image_tasks(ImportTaskIds=[task_id])["ImportImageTasks"][0]

    try:
        host.ec2.cancel_import_task(ImportTaskId=task_id)
    except ClientError:
        assert task()["Status"] == "completed"
        assert delay_ms > 0
        host.ec2.deregister_image(ImageId=task()["ImageId"], DeleteAssociatedSnapshots=True)
    wait_for(lambda: task()["Status"] in ("deleted", "completed"), "the import has ended")

    assert image_id in before[0]
    wait_for(lambda: nothing_new(host, bucket, before), "nothing is left", timeout_s=90)


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
def test_a_cancelled_export_leaves_nothing(host: Host, bucket: Path, image_id: str, delay_ms: int) -> None:
    before = what_is_there(host, bucket)
    task_id = host.ec2.export_image(ImageId=image_id, DiskImageFormat="VMDK", S3ExportLocation={"S3Bucket": BUCKET})[
        "ExportImageTaskId"
    ]
    time.sleep(delay_ms / 1000)

    def task() -> Any:
        return host.ec2.describe_export_image_tasks(ExportImageTaskIds=[task_id])["ExportImageTasks"][0]

    try:
        host.ec2.cancel_export_task(ExportTaskId=task_id)
    except ClientError:
        assert task()["Status"] == "completed"
        assert delay_ms > 0
        (bucket / f"{task_id}.vmdk").unlink()
    wait_for(lambda: task()["Status"] in ("deleted", "completed"), "the export has ended")

    assert nothing_new(host, bucket, before)


def test_progress_moves_and_never_goes_back(host: Host, bucket: Path, image_id: str) -> None:
    location: Any = {"S3Bucket": BUCKET}
    task_id = host.ec2.export_image(ImageId=image_id, DiskImageFormat="VMDK", S3ExportLocation=location)[
        "ExportImageTaskId"
    ]
    seen: list[int] = []

    def has_ended() -> bool:
        task = host.ec2.describe_export_image_tasks(ExportImageTaskIds=[task_id])["ExportImageTasks"][0]
        seen.extend([int(task["Progress"])] if "Progress" in task else [])
        return task["Status"] == "completed"

    wait_for(has_ended, "the export is completed", timeout_s=60)

    (bucket / f"{task_id}.vmdk").unlink()
    assert seen == sorted(seen)
    assert len(set(seen)) > 5, seen


def nothing_new(host: Host, bucket: Path, before: tuple[set[str], set[str], set[Path]]) -> bool:
    """Tell whether all that is there was there; a sweep may have removed what was left of earlier deletions."""
    images, snapshots, files = what_is_there(host, bucket)
    return (images, snapshots) == before[:2] and files <= before[2]


def what_is_there(host: Host, bucket: Path) -> tuple[set[str], set[str], set[Path]]:
    images = {image["ImageId"] for image in host.ec2.describe_images(Owners=["self"])["Images"]}
    snapshots = {it["SnapshotId"] for it in host.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    places = (host.home / "volumes", host.home / "transfers", bucket)
    # Checksums are made in the background, of what was there before, too.
    files = {path for place in places for path in place.rglob("*") if "checksums" not in path.parts}
    return images, snapshots, files
