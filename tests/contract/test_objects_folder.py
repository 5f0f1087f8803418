"""Buckets that are folders: nobody leaves them, whatever a key says or somebody put in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakehouse.drivers.objects import BucketStore
from bakehouse.ports.objects import (
    AccessDenied,
    InvalidObjectName,
    NoSuchBucket,
    NoSuchObject,
    ObjectAt,
    ObjectTooLarge,
)

MIB = 1 << 20
TRAVERSING = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "link", "\0", "/", "etc", "\\", "~", "..\\", "%2e%2e", " "]), min_size=1
).map("/".join)


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "buckets" / "images"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def store(bucket: Path, tmp_path: Path) -> BucketStore:
    return BucketStore(buckets=bucket.parent, work=tmp_path / "work")


def at(key: str) -> ObjectAt:
    return ObjectAt(bucket="images", key=key)


def names_in(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


@pytest.fixture
def closed(bucket: Path) -> Iterator[Path]:
    bucket.chmod(0o500)
    yield bucket
    bucket.chmod(0o700)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=settings().max_examples * 3
)
@given(key=st.one_of(TRAVERSING, st.text(max_size=300)))
async def test_no_key_leads_out_of_its_bucket(store: BucketStore, bucket: Path, tmp_path: Path, key: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    if not (bucket / "link").is_symlink():
        (bucket / "link").symlink_to(outside)
    (tmp_path / "there").write_bytes(b"x")
    before = everything(tmp_path, without=bucket)

    try:
        await store.put(tmp_path / "there", at(key))
        await store.fetch(at(key), tmp_path / "back", limit_bytes=1)
        (tmp_path / "back").unlink()
        await store.delete(at(key))
    except (InvalidObjectName, NoSuchObject):
        pass

    assert everything(tmp_path, without=bucket) == before


def everything(top: Path, *, without: Path) -> set[Path]:
    return {path for path in top.rglob("*") if without not in (path, *path.parents) and path.name != ".tags"}


@pytest.mark.parametrize(
    "key", ["../x", "/etc/shadow", "a/../../x", "a//b", "a/", "./a", "a\0b", ".", "a/" + "b" * 256]
)
async def test_a_key_that_is_no_path_of_names_is_refused(store: BucketStore, tmp_path: Path, key: str) -> None:
    (tmp_path / "there").write_bytes(b"x")

    with pytest.raises(InvalidObjectName):
        await store.put(tmp_path / "there", at(key))
    with pytest.raises(InvalidObjectName):
        await store.fetch(at(key), tmp_path / "back", limit_bytes=1)
    with pytest.raises(InvalidObjectName):
        await store.delete(at(key))


@pytest.mark.parametrize("key", ["file-link", "folder-link/secret"])
async def test_no_link_in_a_bucket_is_followed(store: BucketStore, bucket: Path, tmp_path: Path, key: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (bucket / "file-link").symlink_to(outside / "secret")
    (bucket / "folder-link").symlink_to(outside)
    (tmp_path / "there").write_bytes(b"x")

    with pytest.raises(NoSuchObject):
        await store.fetch(at(key), tmp_path / "back", limit_bytes=MIB)
    with pytest.raises((InvalidObjectName, NoSuchObject)):
        await store.put(tmp_path / "there", at(key))

    assert (outside / "secret").read_bytes() == b"secret"


async def test_a_bucket_may_be_a_link_to_where_its_owner_keeps_it(store: BucketStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "buckets" / "archive").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "there").write_bytes(b"x")

    await store.put(tmp_path / "there", ObjectAt(bucket="archive", key="a/b"))

    assert (tmp_path / "elsewhere" / "a" / "b").read_bytes() == b"x"


@pytest.mark.parametrize("kind", ["pipe", "folder"])
async def test_what_is_no_regular_file_is_no_object(
    store: BucketStore, bucket: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "pipe":
        os.mkfifo(bucket / "a")
    else:
        (bucket / "a").mkdir()
    (tmp_path / "there").write_bytes(b"x")

    with pytest.raises(NoSuchObject):
        await store.fetch(at("a"), tmp_path / "back", limit_bytes=MIB)
    with pytest.raises(InvalidObjectName):
        await store.put(tmp_path / "there", at("a"))


async def test_a_file_is_no_folder(store: BucketStore, bucket: Path, tmp_path: Path) -> None:
    (bucket / "a").write_bytes(b"x")
    (tmp_path / "there").write_bytes(b"x")

    assert not await store.exists(at("a/b"))
    with pytest.raises(NoSuchObject):
        await store.put(tmp_path / "there", at("a/b"))


async def test_a_file_that_is_no_folder_is_no_bucket(store: BucketStore, bucket: Path) -> None:
    (bucket.parent / "file").write_bytes(b"")

    with pytest.raises(NoSuchBucket):
        await store.check_bucket("file")


async def test_holes_stay_holes(store: BucketStore, bucket: Path, tmp_path: Path) -> None:
    with (tmp_path / "there").open("wb") as file:
        file.write(b"x" * MIB)
        file.truncate(1 << 36)

    await store.put(tmp_path / "there", at("disk"))
    await store.fetch(at("disk"), tmp_path / "back", limit_bytes=1 << 40)

    for path in (bucket / "disk", tmp_path / "back"):
        assert (path.stat().st_size, path.stat().st_blocks * 512 < 2 * MIB) == (1 << 36, True)


async def test_the_size_of_a_sparse_object_counts_against_the_limit(
    store: BucketStore, bucket: Path, tmp_path: Path
) -> None:
    with (bucket / "bomb").open("wb") as file:
        file.truncate(1 << 42)

    with pytest.raises(ObjectTooLarge):
        await store.fetch(at("bomb"), tmp_path / "back", limit_bytes=1 << 40)


async def test_what_a_killed_server_left_goes_with_the_next_put(
    store: BucketStore, bucket: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").write_bytes(b"x")
    await store.put(tmp_path / "there", at("a/b"))
    (left,) = [".0123456789abcdef0123456789abcdef.part"]
    with pytest.raises(InvalidObjectName, match="unfinished"):
        await store.put(tmp_path / "there", at(left))

    await store.delete(at("a/b"))

    assert names_in(bucket, "*") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
@pytest.mark.usefixtures("closed")
async def test_a_bucket_that_cannot_be_written_to_is_denied(store: BucketStore, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")

    with pytest.raises(AccessDenied):
        await store.check_bucket("images")
    with pytest.raises(AccessDenied):
        await store.put(tmp_path / "there", at("a"))
