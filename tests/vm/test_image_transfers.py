"""Images that left as files or objects and came back: they boot, and hold every file that they held."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.contract.foreign_files import ova
from tests.vm.guest import Guest, wait_for
from tests.vm.host import Host

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(300)]

BUCKET = "transfers"
DEADLINE_S = 120
SUFFIXES = {".raw", ".vhd", ".vmdk", ".ova", ".bin"}


@pytest.fixture(scope="module")
def bucket(host: Host) -> Path:
    """A bucket: a folder in the home."""
    folder = host.home / "buckets" / BUCKET
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def image_id(host: Host, bucket: Path) -> str:  # noqa: ARG001 - where it goes
    """An image of a guest that has written 16 MiB whose sums are known, and that is gone."""
    guest = host.launch()
    guest.wait_for_ssh()
    guest.run(
        "mkdir /root/kept; cd /root/kept; for n in $(seq 4); do dd if=/dev/urandom of=$n bs=1M count=4; done;"
        " sha256sum * > /root/sums; sync"
    )
    image = host.ec2.create_image(InstanceId=guest.instance_id, Name="to be moved", NoReboot=True)["ImageId"]
    guest.disconnect()
    host.ec2.terminate_instances(InstanceIds=[guest.instance_id])
    guest.wait_for_state("terminated")
    return image


def assert_boots_with_every_file(host: Host, image_id: str) -> None:
    guest = host.launch(image_id)
    guest.wait_for_ssh()
    assert guest.run("cd /root/kept && sha256sum -c /root/sums | grep -c ': OK$'") == "4"
    end(host, guest)


def end(host: Host, guest: Guest) -> None:
    guest.disconnect()
    host.ec2.terminate_instances(InstanceIds=[guest.instance_id], SkipOsShutdown=True)


def exported(host: Host, image_id: str, file_format: Any) -> str:
    """Export an image and return the object's key."""
    task_id = host.ec2.export_image(
        ImageId=image_id, DiskImageFormat=file_format, S3ExportLocation={"S3Bucket": BUCKET, "S3Prefix": "out/"}
    )["ExportImageTaskId"]

    def task() -> Any:
        return host.ec2.describe_export_image_tasks(ExportImageTaskIds=[task_id])["ExportImageTasks"][0]

    wait_for(lambda: task()["Status"] != "active", f"{task_id} has ended", timeout_s=DEADLINE_S)
    assert task()["Status"] == "completed", task()
    return f"out/{task_id}.{file_format.lower()}"


def imported(host: Host, key: str, file_format: str) -> str:
    """Import an object and return the image's id."""
    where = {"S3Bucket": BUCKET, "S3Key": key}
    containers: Any = [{"Format": file_format, "UserBucket": where, "DeviceName": "/dev/xvda"}]
    if file_format == "OVA":
        del containers[0]["DeviceName"]
    task_id = host.ec2.import_image(DiskContainers=containers)["ImportTaskId"]

    def task() -> Any:
        return host.ec2.describe_import_image_tasks(ImportTaskIds=[task_id])["ImportImageTasks"][0]

    wait_for(lambda: task()["Status"] != "active", f"{task_id} has ended", timeout_s=DEADLINE_S)
    assert task()["Status"] == "completed", task()
    image_id: str = task()["ImageId"]
    return image_id


@pytest.mark.parametrize("file_format", ["RAW", "VHD"])
def test_an_exported_disk_comes_back_with_every_file(
    host: Host, image_id: str, bucket: Path, measured: Callable[[str], None], file_format: str
) -> None:
    begin = time.monotonic()
    key = exported(host, image_id, file_format)
    written = time.monotonic()
    again = imported(host, key, file_format)
    measured(
        f"{file_format}: exported in {written - begin:.1f} s ({(bucket / key).stat().st_blocks >> 11} MiB), "
        f"imported in {time.monotonic() - written:.1f} s"
    )

    assert_boots_with_every_file(host, again)


def test_an_exported_vmdk_comes_back_in_an_ova_with_every_file(host: Host, image_id: str, bucket: Path) -> None:
    vmdk = bucket / exported(host, image_id, "VMDK")
    ova(bucket / "machine.ova", {"disk1.vmdk": vmdk.read_bytes()})

    again = imported(host, "machine.ova", "OVA")

    assert_boots_with_every_file(host, again)


def test_a_stored_image_comes_back_with_every_file(
    host: Host, image_id: str, bucket: Path, measured: Callable[[str], None]
) -> None:
    begin = time.monotonic()
    key = host.ec2.create_store_image_task(ImageId=image_id, Bucket=BUCKET)["ObjectKey"]
    host.ec2.get_waiter("store_image_task_complete").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})
    stored = time.monotonic()
    again = host.ec2.create_restore_image_task(Bucket=BUCKET, ObjectKey=key, Name="restored")["ImageId"]
    wait_for(lambda: state_of(host, again) != "pending", "the image is restored", timeout_s=DEADLINE_S)
    measured(
        f"stored in {stored - begin:.1f} s ({(bucket / key).stat().st_size >> 20} MiB), "
        f"restored in {time.monotonic() - stored:.1f} s"
    )

    assert state_of(host, again) == "available"
    assert_boots_with_every_file(host, again)


def state_of(host: Host, image_id: str) -> str:
    return host.ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"]


def test_an_image_that_was_copied_stored_restored_and_exported_still_boots(host: Host, image_id: str) -> None:
    copy = host.ec2.copy_image(Name="copied", SourceRegion="us-east-1", SourceImageId=image_id)["ImageId"]
    key = host.ec2.create_store_image_task(ImageId=copy, Bucket=BUCKET)["ObjectKey"]
    host.ec2.get_waiter("store_image_task_complete").wait(ImageIds=[copy], WaiterConfig={"Delay": 1})
    host.ec2.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)
    back = host.ec2.create_restore_image_task(Bucket=BUCKET, ObjectKey=key)["ImageId"]
    wait_for(lambda: state_of(host, back) == "available", "the image is restored", timeout_s=DEADLINE_S)

    again = imported(host, exported(host, back, "VMDK"), "VMDK")

    assert_boots_with_every_file(host, again)


def test_nothing_is_left_of_the_transfers_but_what_was_asked_for(host: Host, bucket: Path) -> None:
    assert list((host.home / "transfers").iterdir()) == []
    assert not [path for path in bucket.rglob("*") if path.is_file() and path.suffix not in SUFFIXES]
