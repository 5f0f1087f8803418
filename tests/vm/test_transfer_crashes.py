"""Servers killed in the middle of imports, exports, stores and restores, and what the next server makes of it.

The images are of one sector, so that every step of the journaled changes is tried. A transfer that takes a while is
killed at moments within its steps: there is no checkpoint between two bytes.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from tests.vm.boot_sector import DISK_BYTES, SECTOR
from tests.vm.guest import wait_for
from tests.vm.host import Host, running_host
from tests.vm.wholeness import assert_whole

from bakehouse.sagas.catalogue import SAGAS

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(180)]

BUCKET = "crashes"
CRASH_AT = "BAKEHOUSE_CRASH_AT"
MIB = 1 << 20
#: A disk that takes a second or so to import, to export and to store.
LONG_MIB = 192
DELAYS_MS = (50, 300, 700)


@dataclass(frozen=True)
class Story:
    """A request that begins a saga; what it made is looked at by `ended`, which tells when it has ended."""

    saga: str
    act: Callable[[Host], Any]
    ended: Callable[[Host], bool]


def import_disk(host: Host, key: str = "sector.raw") -> None:
    host.ec2.import_image(DiskContainers=[{"UserBucket": {"S3Bucket": BUCKET, "S3Key": key}}])


def imports_ended(host: Host) -> bool:
    tasks = host.ec2.describe_import_image_tasks()["ImportImageTasks"]
    return {task["Status"] for task in tasks} <= {"completed", "deleted"}


def export(host: Host, name: str = "sector", file_format: Any = "VMDK") -> None:
    host.ec2.export_image(ImageId=host.images[name], DiskImageFormat=file_format, S3ExportLocation={"S3Bucket": BUCKET})


def exports_ended(host: Host) -> bool:
    tasks = host.ec2.describe_export_image_tasks()["ExportImageTasks"]
    return {task["Status"] for task in tasks} <= {"completed", "deleted"}


def store(host: Host, name: str = "sector") -> None:
    host.ec2.create_store_image_task(ImageId=host.images[name], Bucket=f"{BUCKET}/{time.monotonic_ns()}")


def stores_ended(host: Host) -> bool:
    tasks = host.ec2.describe_store_image_tasks()["StoreImageTaskResults"]
    return all(task["StoreTaskState"] != "InProgress" for task in tasks)


def restore(host: Host, key: str = "stored.bin") -> None:
    host.ec2.create_restore_image_task(Bucket=BUCKET, ObjectKey=key, Name=f"restored {time.monotonic_ns()}")


def restores_ended(host: Host) -> bool:
    return all(image["State"] != "pending" for image in host.ec2.describe_images(Owners=["self"])["Images"])


STORIES = {
    "import": Story("import_disks", import_disk, imports_ended),
    "export": Story("export_disk", export, exports_ended),
    "store": Story("store_image", store, stores_ended),
    "restore": Story("restore_image", restore, restores_ended),
}

POINTS = [
    (title, f"{story.saga}:{step.name}:{moment}")
    for title, story in STORIES.items()
    for step in SAGAS[story.saga].steps
    for moment in ("before", "after")
]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A server of these tests' own, with an image of one sector and one of some size, and both stored."""
    folder = tmp_path_factory.mktemp("disks")
    with running_host() as made:
        bucket = folder_of(made)
        bucket.mkdir(parents=True)
        (bucket / "sector.raw").write_bytes(SECTOR.ljust(DISK_BYTES, b"\0"))
        (bucket / "long.raw").write_bytes(os.urandom(LONG_MIB * MIB))
        for name in ("sector", "long"):
            disk = folder / name
            disk.write_bytes((bucket / f"{name}.raw").read_bytes())
            made.images[name] = made.bakehouse("image", "import", str(disk), "--name", name).stdout.strip()
            key = made.ec2.create_store_image_task(ImageId=made.images[name], Bucket=BUCKET)["ObjectKey"]
            wait_for(lambda: stores_ended(made), "the image is stored", timeout_s=60)
            (bucket / key).rename(bucket / ("stored.bin" if name == "sector" else "stored-long.bin"))
        yield made


def folder_of(host: Host) -> Path:
    return host.home / "buckets" / BUCKET


def assert_nothing_half_made(host: Host, story: Story) -> None:
    wait_for(lambda: story.ended(host), f"{story.saga} has ended", timeout_s=60)
    assert_whole(host)
    assert list((host.home / "transfers").iterdir()) == []
    assert unfinished(host) == []
    keys = {path.relative_to(folder_of(host)).as_posix() for path in folder_of(host).rglob("*") if path.is_file()}
    exported = {
        f"{task['ExportImageTaskId']}.vmdk"
        for task in host.ec2.describe_export_image_tasks()["ExportImageTasks"]
        if task["Status"] == "completed"
    }
    assert {key for key in keys if key.startswith("export-ami-")} == exported
    stored = {
        task["S3objectKey"]
        for task in host.ec2.describe_store_image_tasks()["StoreImageTaskResults"]
        if task["StoreTaskState"] == "Completed"
    }
    assert {key for key in keys if "/" in key and key.endswith(".bin")} == {key for key in stored if "/" in key}


def unfinished(host: Host) -> list[Path]:
    """Return what lies in the bucket and is no object, by its name."""
    whole = {".raw", ".bin", ".vmdk"}
    return [path for path in folder_of(host).rglob("*") if path.is_file() and path.suffix not in whole]


@pytest.mark.parametrize(("title", "point"), POINTS)
def test_a_server_killed_at_any_step_of_a_transfer_finishes_it(host: Host, title: str, point: str) -> None:
    story = STORIES[title]
    host.kill()
    assert host.start({CRASH_AT: point})
    assert host.server is not None

    with suppress(BotoCoreError):
        story.act(host)
    host.server.wait_until_gone()
    assert host.start()

    assert_nothing_half_made(host, story)
    assert failures(host) == []


def failures(host: Host) -> list[Any]:
    """Return every transfer that failed: a kill is no reason for one."""
    imports = host.ec2.describe_import_image_tasks()["ImportImageTasks"]
    exports = host.ec2.describe_export_image_tasks()["ExportImageTasks"]
    stores = host.ec2.describe_store_image_tasks()["StoreImageTaskResults"]
    images = host.ec2.describe_images(Owners=["self"])["Images"]
    return [
        *(task for task in [*imports, *exports] if task["Status"] != "completed"),
        *(task for task in stores if task["StoreTaskState"] != "Completed"),
        *(image for image in images if image["State"] != "available"),
    ]


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
@pytest.mark.parametrize("title", ["import", "export", "store", "restore"])
def test_a_server_killed_while_bytes_flow_finishes_what_it_began(host: Host, title: str, delay_ms: int) -> None:
    long_acts: dict[str, Callable[[], Any]] = {
        "import": lambda: import_disk(host, "long.raw"),
        "export": lambda: export(host, "long"),
        "store": lambda: store(host, "long"),
        "restore": lambda: restore(host, "stored-long.bin"),
    }
    long_acts[title]()
    time.sleep(delay_ms / 1000)
    assert delay_ms > min(DELAYS_MS) or not STORIES[title].ended(host), "it was over before it was killed"
    host.kill()
    assert host.start()

    assert_nothing_half_made(host, STORIES[title])
    assert failures(host) == []


def test_what_killed_servers_left_unfinished_is_swept(host: Host) -> None:
    incoming = host.home / "volumes" / "incoming"

    # Not at once: a tool of a killed server may write on for a while.
    wait_for(lambda: list(incoming.iterdir()) == [], "the store holds nothing unfinished", timeout_s=75)


def test_every_image_that_came_through_a_crash_boots_or_holds_its_bytes(host: Host, tmp_path: Path) -> None:
    long, short = (folder_of(host) / name for name in ("long.raw", "sector.raw"))
    images = host.ec2.describe_images(Owners=["self"])["Images"]
    assert len(images) > len(POINTS) // 2

    for image in images:
        size = image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"]
        assert size == 1
        path = tmp_path / image["ImageId"]
        host.ec2.export_image(
            ImageId=image["ImageId"],
            DiskImageFormat="RAW",
            S3ExportLocation={"S3Bucket": BUCKET, "S3Prefix": f"{path.name}-"},
        )
    wait_for(lambda: exports_ended(host), "all are exported", timeout_s=120)

    for image in images:
        (disk,) = folder_of(host).glob(f"{image['ImageId']}-*.raw")
        original = long if disk.stat().st_size > DISK_BYTES else short
        assert disk.read_bytes() == original.read_bytes(), image
        disk.unlink()
