"""What every place that keeps objects does: a folder, and an S3-compatible service."""

import asyncio
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from tests.contract import s3_service

from bakehouse.drivers.objects import BucketStore, s3
from bakehouse.ports.objects import (
    InvalidObjectName,
    NoSuchBucket,
    NoSuchObject,
    ObjectAt,
    ObjectStore,
    ObjectTooLarge,
)

MIB = 1 << 20
UNLIMITED = 1 << 40
PLACE = ObjectAt(bucket="images", key="web/shop.vmdk")


@dataclass
class Driver:
    store: ObjectStore
    files: Callable[[], set[str]]
    """Names of all that is in the bucket, and of what is unfinished."""
    large_bytes: int
    """Large enough for several parts."""
    slow_down: Callable[[], None]
    """Let what is large take seconds."""


@dataclass
class Service:
    """An S3 service, a client to look into it, and the driver under test: each takes a while to make."""

    client: Any
    buckets: s3.S3Buckets


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    with s3_service.running() as url, pytest.MonkeyPatch.context() as patch:
        for name, value in s3_service.CREDENTIALS.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="images")
        yield Service(client, s3.S3Buckets(url, region="us-east-1"))


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    yield running
    for found in running.client.list_objects_v2(Bucket="images").get("Contents", []):
        running.client.delete_object(Bucket="images", Key=found["Key"])


@pytest.fixture(params=["folder", "s3"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    buckets, work = tmp_path / "buckets", tmp_path / "work"
    if request.param == "folder":
        (buckets / "images").mkdir(parents=True)

        def in_folder() -> set[str]:
            top = buckets / "images"
            return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}

        return Driver(BucketStore(buckets=buckets, work=work), in_folder, large_bytes=80 * MIB, slow_down=lambda: None)
    service: Service = request.getfixturevalue("service")

    def in_service() -> set[str]:
        uploads = service.client.list_multipart_uploads(Bucket="images").get("Uploads", [])
        objects = service.client.list_objects_v2(Bucket="images").get("Contents", [])
        return {it["Key"] for it in objects} | {f"unfinished {it['Key']}" for it in uploads}

    # The smallest parts that the protocol allows: the service on loopback is slow.
    small = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=5 * MIB, max_concurrency=2)
    patch = request.getfixturevalue("monkeypatch")
    patch.setattr(s3, "_TRANSFER", small)
    slow = TransferConfig(6 * MIB, max_concurrency=2, multipart_chunksize=5 * MIB, max_bandwidth=4 * MIB)
    store = BucketStore(buckets=buckets, work=work, service=service.buckets)
    return Driver(store, in_service, large_bytes=12 * MIB, slow_down=lambda: patch.setattr(s3, "_TRANSFER", slow))


@pytest.fixture
def store(driver: Driver) -> ObjectStore:
    return driver.store


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def left_of(path: Path) -> list[Path]:
    return list(path.parent.glob(path.name + "*"))


async def test_an_object_comes_back_as_it_was_put(store: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(MIB)

    await store.put(written(tmp_path / "there", content), PLACE)
    size = await store.fetch(PLACE, tmp_path / "back", limit_bytes=UNLIMITED)

    assert (tmp_path / "back").read_bytes() == content
    assert (size, (tmp_path / "back").stat().st_mode & 0o777) == (MIB, 0o600)


async def test_an_object_of_several_parts_comes_back_whole(driver: Driver, tmp_path: Path) -> None:
    content = os.urandom(MIB) + bytes(driver.large_bytes) + os.urandom(MIB)
    seen: list[float] = []

    await driver.store.put(written(tmp_path / "there", content), PLACE, progress=seen.append)
    await driver.store.fetch(PLACE, tmp_path / "back", limit_bytes=UNLIMITED)

    assert (tmp_path / "back").read_bytes() == content
    assert (seen == sorted(seen), seen[-1]) == (True, 1.0)
    assert driver.files() == {PLACE.key}


async def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    await store.put(written(tmp_path / "there", b""), PLACE)

    assert await store.fetch(PLACE, tmp_path / "back", limit_bytes=0) == 0
    assert await store.exists(PLACE)


async def test_an_object_put_again_is_replaced(store: ObjectStore, tmp_path: Path) -> None:
    await store.put(written(tmp_path / "one", b"x" * 100), PLACE, tags={"stage": "test"})

    await store.put(written(tmp_path / "two", b"y"), PLACE)

    assert (await store.size(PLACE), await store.tags(PLACE)) == (1, {})


async def test_an_object_has_the_tags_it_was_put_with(store: ObjectStore, tmp_path: Path) -> None:
    tags = {"stage": "live", "a key: +-=._/@": "a value + 1"}

    await store.put(written(tmp_path / "there", b"x"), PLACE, tags=tags)

    assert await store.tags(PLACE) == tags


async def test_the_size_is_told_without_fetching(store: ObjectStore, tmp_path: Path) -> None:
    await store.put(written(tmp_path / "there", b"x" * 1000), PLACE)

    assert await store.size(PLACE) == 1000


async def test_a_deleted_object_is_gone_and_may_be_deleted_again(driver: Driver, tmp_path: Path) -> None:
    await driver.store.put(written(tmp_path / "there", b"x"), PLACE, tags={"stage": "live"})

    await driver.store.delete(PLACE)
    await driver.store.delete(PLACE)

    assert not await driver.store.exists(PLACE)
    assert driver.files() == set()


async def test_an_object_that_is_not_there_is_named(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NoSuchObject, match=PLACE.key):
        await store.size(PLACE)
    with pytest.raises(NoSuchObject):
        await store.fetch(PLACE, tmp_path / "back", limit_bytes=UNLIMITED)
    with pytest.raises(NoSuchObject):
        await store.tags(PLACE)
    assert not await store.exists(PLACE)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("bucket", ["others", "", "..", "UPPER", "a/b", ".tags", "x" * 64])
async def test_a_bucket_that_is_not_there_is_named(store: ObjectStore, tmp_path: Path, bucket: str) -> None:
    place = ObjectAt(bucket=bucket, key="shop.vmdk")

    with pytest.raises(NoSuchBucket):
        await store.check_bucket(bucket)
    with pytest.raises(NoSuchBucket):
        await store.size(place)
    with pytest.raises(NoSuchBucket):
        await store.put(written(tmp_path / "there", b"x"), place)
    with pytest.raises(NoSuchBucket):
        await store.fetch(place, tmp_path / "back", limit_bytes=UNLIMITED)
    assert not await store.exists(place)
    await store.delete(place)


async def test_a_bucket_that_is_there_may_be_used(store: ObjectStore) -> None:
    await store.check_bucket("images")


async def test_an_object_over_the_limit_is_not_fetched(store: ObjectStore, tmp_path: Path) -> None:
    await store.put(written(tmp_path / "there", b"x" * 101), PLACE)

    with pytest.raises(ObjectTooLarge, match="101 bytes; 100"):
        await store.fetch(PLACE, tmp_path / "back", limit_bytes=100)

    assert left_of(tmp_path / "back") == []


@pytest.mark.parametrize("key", ["", "x" * 1025, "\ud800"])
async def test_a_key_that_no_object_can_have_is_refused(store: ObjectStore, tmp_path: Path, key: str) -> None:
    place = ObjectAt(bucket="images", key=key)

    with pytest.raises(InvalidObjectName):
        await store.size(place)
    with pytest.raises(InvalidObjectName):
        await store.put(written(tmp_path / "there", b"x"), place)


@pytest.mark.parametrize("key", ["a", "a b/c+d=e&f.vmdk", "ä/日本.ova", "a" * 200 + "/" + "b" * 200])
async def test_any_other_key_is_taken(driver: Driver, tmp_path: Path, key: str) -> None:
    place = ObjectAt(bucket="images", key=key)

    await driver.store.put(written(tmp_path / "there", b"x"), place)

    assert driver.files() == {key}
    assert await driver.store.fetch(place, tmp_path / "back", limit_bytes=1) == 1


async def test_a_put_that_is_cancelled_leaves_what_was_there(driver: Driver, tmp_path: Path) -> None:
    await driver.store.put(written(tmp_path / "one", b"x"), PLACE)
    driver.slow_down()
    begun = asyncio.Event()
    big = written(tmp_path / "two", os.urandom(driver.large_bytes))
    task = asyncio.create_task(driver.store.put(big, PLACE, progress=lambda _: begun.set()))
    await begun.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert driver.files() == {PLACE.key}
    assert await driver.store.size(PLACE) == 1


# A cancelled download leaves its connection to the garbage collector, which warns of it: here, not in another test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_fetch_that_is_cancelled_leaves_nothing(driver: Driver, tmp_path: Path) -> None:
    await driver.store.put(written(tmp_path / "there", os.urandom(driver.large_bytes)), PLACE)
    driver.slow_down()
    begun = asyncio.Event()
    fetching = driver.store.fetch(PLACE, tmp_path / "back", limit_bytes=UNLIMITED, progress=lambda _: begun.set())
    task = asyncio.create_task(fetching)
    await begun.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert left_of(tmp_path / "back") == []
    gc.collect()


async def test_two_puts_at_once_leave_one_of_both(driver: Driver, tmp_path: Path) -> None:
    one, two = written(tmp_path / "one", b"1" * MIB), written(tmp_path / "two", b"2" * MIB)

    await asyncio.gather(driver.store.put(one, PLACE), driver.store.put(two, PLACE))
    await driver.store.fetch(PLACE, tmp_path / "back", limit_bytes=UNLIMITED)

    assert set((tmp_path / "back").read_bytes()) in ({ord("1")}, {ord("2")})
    assert driver.files() == {PLACE.key}


async def test_a_workspace_is_a_private_folder_until_it_is_cleared(store: ObjectStore) -> None:
    folder = await store.workspace("import-ami-0123456789abcdef0")
    (folder / "disk").write_bytes(b"x")

    assert (folder.stat().st_mode & 0o777, await store.workspace("import-ami-0123456789abcdef0")) == (0o700, folder)
    assert await store.workspaces() == {"import-ami-0123456789abcdef0"}
    await store.clear_workspace("import-ami-0123456789abcdef0")
    await store.clear_workspace("import-ami-0123456789abcdef0")
    assert (folder.exists(), await store.workspaces()) == (False, frozenset())


@pytest.mark.parametrize("task_id", ["..", "import/x", "", "/tmp"])  # noqa: S108 - it is refused
async def test_a_workspace_has_a_task_s_name(store: ObjectStore, task_id: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        await store.workspace(task_id)
