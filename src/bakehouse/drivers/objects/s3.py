"""Buckets of an S3-compatible service, by boto3 and its transfer library: parts side by side, retries, clean aborts."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar
from urllib.parse import urlencode

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, NoCredentialsError
from s3transfer.exceptions import CancelledError, S3UploadFailedError
from s3transfer.futures import TransferFuture
from s3transfer.manager import TransferManager
from s3transfer.subscribers import BaseSubscriber

from bakehouse.drivers.long_work import Work
from bakehouse.drivers.objects import names
from bakehouse.ports.objects import (
    AccessDenied,
    InvalidObjectName,
    NoSuchBucket,
    NoSuchObject,
    ObjectTooLarge,
    TransferFailed,
)
from bakehouse.ports.volumes import StorageFull

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

#: Codes of refusals, of AWS and of services that speak its protocol. Source: Amazon S3 API Reference, Error Responses;
#: MinIO's and Ceph's own codes for a full store.
_DENIED: Final = frozenset(
    {
        *("403", "AccessDenied", "AllAccessDisabled", "AccountProblem", "ExpiredToken", "InvalidAccessKeyId"),
        *("InvalidToken", "NotSignedUp", "RequestTimeTooSkewed", "SignatureDoesNotMatch"),
    }
)
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})
_NO_BUCKET: Final = frozenset({"NoSuchBucket", "InvalidBucketName"})
_BAD_KEY: Final = frozenset({"KeyTooLongError", "XMinioInvalidObjectName", "InvalidURI", "InvalidTag"})
_FULL: Final = frozenset({"507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})

#: Four parts of 16 MiB under way: 64 MiB of memory. The library makes parts larger for objects of over 10,000 of them.
_TRANSFER: Final = TransferConfig(multipart_threshold=32 << 20, multipart_chunksize=16 << 20, max_concurrency=4)

#: Between two looks at whether somebody still waits.
_LOOK_S: Final = 0.1


class S3Buckets:
    """All buckets that a service gives these credentials. Fulfils `Backend`."""

    def __init__(self, endpoint_url: str, *, region: str, profile: str | None = None) -> None:
        """Know a service; it is not asked yet.

        Args:
            endpoint_url: Of the service.
            region: What requests are signed for; services of one region take any.
            profile: Of the AWS configuration files, for the credentials; by default what boto3 finds: the
                environment, the default profile, the host's role.
        """
        self._endpoint_url = endpoint_url
        self._region = region
        self._profile = profile
        self._made: S3Client | None = None
        self._making = threading.Lock()

    def check_bucket(self, bucket: str) -> None:
        """Ask for the bucket."""
        names.check_bucket(bucket)
        with _named(bucket):
            self._client().head_bucket(Bucket=bucket)

    def size(self, bucket: str, key: str) -> int:
        """Ask for the object's head."""
        names.check_key(key)
        with _named(bucket, key):
            try:
                return self._client().head_object(Bucket=bucket, Key=key)["ContentLength"]
            except ClientError as err:
                if _code(err) not in _MISSING:
                    raise
        # The answer to HEAD has no body to say whether the bucket is missing.
        self.check_bucket(bucket)
        raise NoSuchObject(f"{bucket}/{key}")

    def read_into(self, bucket: str, key: str, file: BinaryIO, limit_bytes: int, work: Work) -> None:
        """Fetch parts of an object side by side; the library asks for all of them of one version."""
        size = self.size(bucket, key)
        if size > limit_bytes:
            raise ObjectTooLarge(f"it has {size} bytes; {limit_bytes} are the most")
        with _named(bucket, key), self._transfers() as transfers:
            _wait(transfers.download(bucket, key, file, subscribers=[done := _Done()]), done, size, work)
        file.flush()
        if file.seek(0, 2) != size:
            raise TransferFailed(f"{bucket}/{key} was changed while it was fetched")

    def write_from(self, file: BinaryIO, bucket: str, key: str, tags: Mapping[str, str], work: Work) -> None:
        """Send parts side by side; the service makes an object of them when all are there."""
        names.check_key(key)
        names.check_bucket(bucket)
        size = file.seek(0, 2)
        file.seek(0)
        extra = {"Tagging": urlencode(tags)} if tags else {}
        with _named(bucket, key):
            self._abort_former(bucket, key)
            with self._transfers() as transfers:
                _wait(transfers.upload(file, bucket, key, extra, [done := _Done()]), done, size, work)

    def tags(self, bucket: str, key: str) -> Mapping[str, str]:
        """Ask for the object's tags."""
        names.check_key(key)
        with _named(bucket, key):
            answer = self._client().get_object_tagging(Bucket=bucket, Key=key)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def delete(self, bucket: str, key: str) -> None:
        """Delete the object; the service says nothing of one that is not there."""
        names.check_key(key)
        with _named(bucket, key):
            self._client().delete_object(Bucket=bucket, Key=key)

    def _abort_former(self, bucket: str, key: str) -> None:
        """Let the service forget parts that a killed server sent; it would keep and charge them for ever."""
        try:
            answer = self._client().list_multipart_uploads(Bucket=bucket, Prefix=key)
            for upload in answer.get("Uploads", []):
                if upload.get("Key") == key:
                    self._client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])
        except ClientError as err:
            if _code(err) in _NO_BUCKET:
                raise
            # Not every service lists them, nor every account may: then they are its owner's to clear.

    @contextmanager
    def _transfers(self) -> Iterator[TransferManager]:
        manager = create_transfer_manager(self._client(), _TRANSFER)
        try:
            yield manager
        finally:
            manager.shutdown()

    def _client(self) -> "S3Client":
        with self._making:
            if self._made is None:
                session = boto3.session.Session(profile_name=self._profile, region_name=self._region)
                config = Config(
                    connect_timeout=10,
                    read_timeout=60,
                    retries={"mode": "standard", "max_attempts": 4},
                    # A name per bucket needs DNS that few services at home have, and newer checksums, servers that
                    # few of them are.
                    s3={"addressing_style": "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                )
                self._made = session.client("s3", endpoint_url=self._endpoint_url, config=config)
            return self._made


class _Done(BaseSubscriber):
    """Counts the bytes of a transfer, and tells its end. Called from the library's threads."""

    def __init__(self) -> None:
        self.bytes = 0
        self.event = threading.Event()
        self._counting = threading.Lock()

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:  # noqa: ANN401, ARG002
        with self._counting:
            self.bytes += bytes_transferred  # Negative when a part is sent again.

    def on_done(self, future: TransferFuture, **_: Any) -> None:  # noqa: ANN401, ARG002
        self.event.set()


def _wait(future: TransferFuture, done: _Done, size: int, work: Work) -> None:
    """Wait for a transfer's end; cancel it, with all that it sent, when nobody waits any more."""
    try:
        while not done.event.wait(_LOOK_S):
            work.report(max(done.bytes, 0), size)
    except BaseException:
        future.cancel()
        done.event.wait()
        raise
    future.result()
    work.report(size, size)


@contextmanager
def _named(bucket: str, key: str = "") -> Iterator[None]:
    """Turn the library's errors into the port's."""
    try:
        yield
    except ClientError as err:
        raise _meaning(err, bucket, key) from err
    except (NoCredentialsError, CredentialRetrievalError) as err:
        raise AccessDenied(f"there are no credentials for the service that has the bucket {bucket}") from err
    except (BotoCoreError, S3UploadFailedError, CancelledError) as err:
        raise TransferFailed(f"{bucket}/{key}: {err}") from err


def _meaning(err: ClientError, bucket: str, key: str) -> Exception:
    code, what = _code(err), f"{bucket}/{key}" if key else bucket
    if code in _NO_BUCKET or (code in _MISSING and not key):
        return NoSuchBucket(bucket)
    if code in _MISSING:
        return NoSuchObject(what)
    if code in _DENIED:
        return AccessDenied(f"{what}: the service says {code}")
    if code in _BAD_KEY:
        return InvalidObjectName(f"{what}: the service says {code}")
    if code in _FULL:
        return StorageFull(f"{what}: the service says {code}")
    return TransferFailed(f"{what}: the service says {code}")


def _code(err: ClientError) -> str:
    return str(err.response.get("Error", {}).get("Code", ""))
