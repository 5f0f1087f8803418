"""Imports, exports, stores and restores with an S3-compatible service, as their owner sees them by boto3."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.contract import s3_service
from tests.server import RunningServer, server
from tests.system.refusals import refused
from tests.system.shop import Shop
from tests.system.transfers import ended_export, ended_import, ended_store, settled_image, transfers_wait

from bakehouse.bootstrap.drivers import Drivers, make_drivers
from bakehouse.settings import Settings

BUCKET = "exchange"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The URL of a service."""
    with s3_service.running() as url:
        yield url


@pytest.fixture(scope="module")
def running(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose buckets are in the service."""

    def drivers(home: Path, settings: Settings) -> Drivers:
        return make_drivers(home, replace(settings, s3_endpoint=service, fetch_from_this_host=True))

    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_service.CREDENTIALS.items():
            patch.setenv(name, value)
        with server(tmp_path_factory.mktemp("home") / "home", drivers=drivers) as started:
            yield started


@pytest.fixture(scope="module")
def s3(service: str) -> Any:
    """The service's client, and a bucket there."""
    client = boto3.client(
        "s3",
        endpoint_url=service,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def shop(running: RunningServer, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A new account with an image."""
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    return Shop(running, request.node.nodeid, disk)


def keys(s3: Any, prefix: str) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def exported(shop: Shop, **location: str) -> str:
    where: Any = {"S3Bucket": BUCKET, **location}
    task_id = shop.ec2.export_image(ImageId=shop.image_id, DiskImageFormat="VMDK", S3ExportLocation=where)
    task = ended_export(shop.ec2, task_id["ExportImageTaskId"])
    assert task["Status"] == "completed", task
    return f"{location.get('S3Prefix', '')}{task['ExportImageTaskId']}.vmdk"


def test_an_export_becomes_an_object_that_can_be_imported(shop: Shop, s3: Any) -> None:
    key = exported(shop, S3Prefix="out/")
    assert keys(s3, "out/") == [key]

    containers: Any = [{"Format": "VMDK", "UserBucket": {"S3Bucket": BUCKET, "S3Key": key}}]
    task = ended_import(shop.ec2, shop.ec2.import_image(DiskContainers=containers)["ImportTaskId"])

    assert task["Status"] == "completed", task


def test_a_url_that_was_signed_can_be_imported(shop: Shop, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="signed.raw", Body=bytes(1 << 20))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "signed.raw"})

    task = ended_import(shop.ec2, shop.ec2.import_image(DiskContainers=[{"Url": url}])["ImportTaskId"])

    assert task["Status"] == "completed", task
    assert task["SnapshotDetails"][0]["Url"] == url


def test_a_stored_image_has_its_tags_and_comes_back(shop: Shop, s3: Any) -> None:
    tags: Any = [{"Key": "kept", "Value": "long"}]
    key = shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=BUCKET, S3ObjectTags=tags)["ObjectKey"]
    assert ended_store(shop.ec2, shop.image_id)["StoreTaskState"] == "Completed"

    image_id = shop.ec2.create_restore_image_task(Bucket=BUCKET, ObjectKey=key, Name="restored")["ImageId"]

    assert s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"] == tags
    assert settled_image(shop.ec2, image_id)["State"] == "available"


def test_a_cancelled_export_leaves_no_object_and_no_upload(shop: Shop, s3: Any) -> None:
    where: Any = {"S3Bucket": BUCKET, "S3Prefix": "cancelled/"}
    with transfers_wait(shop.running):
        task = shop.ec2.export_image(ImageId=shop.image_id, DiskImageFormat="VMDK", S3ExportLocation=where)
        shop.ec2.cancel_export_task(ExportTaskId=task["ExportImageTaskId"])

    assert ended_export(shop.ec2, task["ExportImageTaskId"])["Status"] == "deleted"
    assert keys(s3, "cancelled/") == []
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_an_object_in_the_place_is_not_touched(shop: Shop, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"{shop.image_id}.bin", Body=b"mine")

    shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket=BUCKET)

    assert ended_store(shop.ec2, shop.image_id)["StoreTaskState"] == "Failed"
    assert s3.get_object(Bucket=BUCKET, Key=f"{shop.image_id}.bin")["Body"].read() == b"mine"


def test_a_bucket_that_the_service_has_not_is_refused_at_once(shop: Shop, s3: Any) -> None:  # noqa: ARG001 - it runs
    with refused("InvalidParameter"):
        shop.ec2.create_store_image_task(ImageId=shop.image_id, Bucket="there-is-no-such-bucket")


def test_an_object_that_the_service_has_not_fails_the_import(shop: Shop, s3: Any) -> None:  # noqa: ARG001 - it runs
    containers: Any = [{"Url": f"s3://{BUCKET}/missing.raw"}]

    task = ended_import(shop.ec2, shop.ec2.import_image(DiskContainers=containers)["ImportTaskId"])

    assert (task["Status"], "404" in task["StatusMessage"]) == ("deleted", True)
