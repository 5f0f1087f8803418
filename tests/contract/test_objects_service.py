"""An S3-compatible service that refuses, is full, is away; and which buckets are asked of it at all."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.contract.s3_service import CREDENTIALS

from bakehouse.drivers.objects import BucketStore, open_store
from bakehouse.ports.objects import (
    AccessDenied,
    InvalidObjectName,
    NoSuchBucket,
    NoSuchObject,
    ObjectAt,
    TransferFailed,
)
from bakehouse.ports.volumes import StorageFull

PLACE = ObjectAt(bucket="images", key="a/disk")


class Service(ThreadingHTTPServer):
    """Answers everything alike."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.status = 403
        self.code = "AccessDenied"
        self.asked: list[str] = []

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # The library's own looks this host's name up.
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


class Answers(BaseHTTPRequestHandler):
    #: Who sends a body waits for "100 Continue" first, of which 1.0 knows nothing, and goes on after a second.
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        service = self.server
        assert isinstance(service, Service)
        service.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = f"<Error><Code>{service.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(service.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def running() -> Iterator[Service]:
    server = Service()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service(running: Service) -> Service:
    running.status, running.code = 403, "AccessDenied"
    running.asked.clear()
    return running


def store_of(tmp_path: Path, port: int, *, profile: str | None = None) -> BucketStore:
    endpoint_url = f"http://127.0.0.1:{port}"
    buckets, work = tmp_path / "buckets", tmp_path / "work"
    return open_store(buckets=buckets, work=work, s3=(endpoint_url, "us-east-1", profile), fetch_from_this_host=False)


@pytest.fixture(scope="module")
def asking(running: Service, tmp_path_factory: pytest.TempPathFactory) -> BucketStore:
    """Make a store once: the library reads its descriptions of the service for seconds."""
    return store_of(tmp_path_factory.mktemp("store"), running.server_port)


@pytest.fixture
def store(asking: BucketStore, service: Service) -> BucketStore:
    assert service.asked == []
    return asking


@pytest.mark.parametrize(
    ("status", "code", "refusal"),
    [
        (403, "AccessDenied", AccessDenied),
        (403, "InvalidAccessKeyId", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (404, "NoSuchBucket", NoSuchBucket),
        (507, "XMinioStorageFull", StorageFull),
        (400, "KeyTooLongError", InvalidObjectName),
        (400, "EntityTooLarge", TransferFailed),
    ],
)
async def test_each_refusal_of_a_service_has_a_name(
    store: BucketStore, service: Service, tmp_path: Path, status: int, code: str, refusal: type[Exception]
) -> None:
    service.status, service.code = status, code
    (tmp_path / "disk").write_bytes(b"x")

    with pytest.raises(refusal):
        await store.put(tmp_path / "disk", PLACE)


async def test_what_may_not_be_looked_at_is_denied_and_not_missing(store: BucketStore) -> None:
    with pytest.raises(AccessDenied):
        await store.check_bucket("images")
    with pytest.raises(AccessDenied):
        await store.exists(PLACE)


async def test_the_name_of_a_bucket_is_in_the_path(store: BucketStore, service: Service) -> None:
    with pytest.raises(AccessDenied):
        await store.size(PLACE)

    assert service.asked == ["/images/a/disk"]


async def test_a_bucket_that_is_a_folder_is_not_asked_of_the_service(service: Service, tmp_path: Path) -> None:
    store = store_of(tmp_path, service.server_port)
    (tmp_path / "buckets" / "images").mkdir()

    with pytest.raises(NoSuchObject):
        await store.size(PLACE)

    assert service.asked == []


async def test_a_service_that_is_away_is_a_failure(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # Between the attempts.
    away = store_of(tmp_path, 1)

    with pytest.raises(TransferFailed):
        await away.check_bucket("images")

    assert service.asked == []


async def test_a_profile_that_is_not_there_is_named(service: Service, tmp_path: Path) -> None:
    with pytest.raises(TransferFailed, match="nobody's"):
        await store_of(tmp_path, service.server_port, profile="nobody's").check_bucket("images")


@pytest.mark.usefixtures("service")
async def test_without_credentials_access_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(AccessDenied, match="no credentials"):
        await store_of(tmp_path, 1).check_bucket("images")
