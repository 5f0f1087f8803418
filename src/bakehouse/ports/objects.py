"""The object port: whole objects in named buckets, and files fetched from the web, for disks that come and go as files.

A *bucket* is a folder of this host or a bucket of an S3-compatible service; which one is the driver's to know. Every
account of the server may use every bucket. Every method may be repeated; a transfer that was cut short is made again
from its beginning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Progress = Callable[[float], None]
"""Called in the event loop with a fraction from 0 to 1, never less than before; last of all with 1."""


class NoSuchBucket(Exception):
    """There is no bucket of this name, or no bucket could have it."""


class NoSuchObject(Exception):
    """The bucket has no object under this key, or the web nothing at this address."""


class AccessDenied(Exception):
    """The host, or the service that keeps the objects, forbids it to this server."""


class InvalidObjectName(Exception):
    """No object can have this key here, or no object be fetched from this address. The text says why."""


class ObjectTooLarge(Exception):
    """It is larger than the limit given. The text names both sizes."""


class TransferFailed(Exception):
    """The connection broke, the service failed or changed the object under way. To try again may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectAt:
    """An object's place."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAddress:
    """A file on the web: an absolute URL of scheme `http` or `https`."""

    url: str


Source = ObjectAt | WebAddress


class ObjectStore(Protocol):
    """Keeps objects, and the working folders in which tasks make and receive them."""

    async def check_bucket(self, bucket: str) -> None:
        """Return when the bucket is there and this server may write to it, as far as that shows without writing.

        Raises:
            NoSuchBucket: There is none.
            AccessDenied: This server may not use it.
            TransferFailed: The service cannot be asked.
        """
        ...

    async def size(self, source: Source) -> int:
        """Return the size of an object, in bytes, without fetching it.

        Raises:
            NoSuchBucket: There is none.
            NoSuchObject: There is none.
            AccessDenied: This server may not read it.
            InvalidObjectName: The key or the address cannot be used.
            TransferFailed: The service cannot be asked, or does not tell the size.
        """
        ...

    async def exists(self, place: ObjectAt) -> bool:
        """Tell whether there is such an object; without a bucket of that name there is none.

        Raises:
            AccessDenied: This server may not know.
            InvalidObjectName: The key cannot be used.
            TransferFailed: The service cannot be asked.
        """
        ...

    async def fetch(self, source: Source, path: Path, *, limit_bytes: int, progress: Progress | None = None) -> int:
        """Copy an object into a new file and return its size. The file appears when it is whole, mode 0600.

        A file that is there already is replaced. On any failure, and on cancellation, nothing is left behind.

        Raises:
            NoSuchBucket: There is none.
            NoSuchObject: There is none.
            AccessDenied: This server may not read it, or may not reach that address.
            InvalidObjectName: The key or the address cannot be used.
            ObjectTooLarge: It is larger than `limit_bytes`, by what is said of it or by what arrived.
            StorageFull: There is no room for it here (`ports.volumes`).
            TransferFailed: It broke off.
        """
        ...

    async def put(
        self, path: Path, place: ObjectAt, *, tags: Mapping[str, str] | None = None, progress: Progress | None = None
    ) -> None:
        """Copy a file into an object, which appears when it is whole, with these tags; one that was there is replaced.

        On any failure, and on cancellation, the object is what it was; parts that a killed server sent are removed
        by the next `put` to that place.

        Raises:
            NoSuchBucket: There is none.
            AccessDenied: This server may not write there.
            InvalidObjectName: No object can have this key here.
            StorageFull: There is no room for it.
            TransferFailed: It broke off.
        """
        ...

    async def tags(self, place: ObjectAt) -> Mapping[str, str]:
        """Return an object's tags.

        Raises:
            NoSuchBucket: There is none.
            NoSuchObject: There is none.
            AccessDenied: This server may not read them.
            InvalidObjectName: The key cannot be used.
            TransferFailed: The service cannot be asked.
        """
        ...

    async def delete(self, place: ObjectAt) -> None:
        """Remove an object. No object, or no bucket: nothing happens.

        Raises:
            AccessDenied: This server may not; nothing changed.
            InvalidObjectName: The key cannot be used.
            TransferFailed: The service cannot be asked; the outcome is unknown.
        """
        ...

    async def workspace(self, task_id: str) -> Path:
        """Return a task's private folder on the server's own disk, made if it is not there. It outlives the server.

        Raises:
            StorageFull: Nothing was made.
        """
        ...

    async def clear_workspace(self, task_id: str) -> None:
        """Remove a task's folder with all that is in it. No folder: nothing happens."""
        ...

    async def workspaces(self) -> frozenset[str]:
        """Return the tasks that have folders, for the reconciler to hold against the records."""
        ...
