"""The object port: which of the places has a bucket, and the files that come and go."""

import asyncio
import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final, TypeVar
from weakref import WeakValueDictionary

from bakehouse.drivers.long_work import Progress, Work, in_thread
from bakehouse.drivers.objects import names
from bakehouse.drivers.objects.backend import Backend
from bakehouse.drivers.objects.folder import FolderBuckets
from bakehouse.drivers.objects.web import WebFiles
from bakehouse.ports.objects import NoSuchBucket, NoSuchObject, ObjectAt, Source, WebAddress
from bakehouse.ports.volumes import StorageFull

T = TypeVar("T")

#: Ids become folders: nothing in them may lead out of the directory.
_TASK_ID: Final = re.compile(r"[a-z]+(-[0-9a-z]+)+")

_UNFINISHED: Final = ".part"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class BucketStore:
    """Objects in folders and, for buckets that are no folder, in an S3-compatible service. Fulfils `ObjectStore`."""

    def __init__(
        self, *, buckets: Path, work: Path, service: Backend | None = None, web: WebFiles | None = None
    ) -> None:
        """Open the store.

        Args:
            buckets: Folder whose subfolders are buckets; made, with mode 0700, if it is not there.
            work: Folder for the tasks' own; the same.
            service: Where all other buckets are; nowhere by default.
            web: Fetches from web addresses; from all but this host's own by default.
        """
        for folder in (buckets, work):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folders = FolderBuckets(buckets)
        self._work = work
        self._service = service
        self._web = web or WebFiles()
        self._turns: WeakValueDictionary[ObjectAt, asyncio.Lock] = WeakValueDictionary()

    async def check_bucket(self, bucket: str) -> None:
        """Return when the bucket can be written to: see the port."""
        await self._asked(bucket, lambda backend: backend.check_bucket(bucket))

    async def size(self, source: Source) -> int:
        """Return an object's size: see the port."""
        if isinstance(source, WebAddress):
            return await asyncio.to_thread(self._web.size, source.url)
        return await self._asked(source.bucket, lambda backend: backend.size(source.bucket, source.key))

    async def exists(self, place: ObjectAt) -> bool:
        """Tell whether there is such an object: see the port."""
        try:
            await self.size(place)
        except (NoSuchBucket, NoSuchObject):
            return False
        return True

    async def fetch(self, source: Source, path: Path, *, limit_bytes: int, progress: Progress | None = None) -> int:
        """Copy an object into a new file: see the port."""
        unfinished = path.with_name(path.name + _UNFINISHED)

        def receive(work: Work) -> int:
            try:
                with _opened(unfinished) as file:
                    if isinstance(source, WebAddress):
                        self._web.read_into(source.url, file, limit_bytes, work)
                    else:
                        backend = self._backend(source.bucket)
                        backend.read_into(source.bucket, source.key, file, limit_bytes, work)
                    file.flush()
                    os.fsync(file.fileno())
                    size = os.fstat(file.fileno()).st_size
                work.check()
                unfinished.replace(path)
            except BaseException as err:
                unfinished.unlink(missing_ok=True)
                if isinstance(err, OSError) and err.errno in _FULL:
                    raise StorageFull(f"the disk is full: {err.strerror}") from err
                raise
            return size

        return await in_thread(receive, progress)

    async def put(
        self, path: Path, place: ObjectAt, *, tags: Mapping[str, str] | None = None, progress: Progress | None = None
    ) -> None:
        """Copy a file into an object: see the port."""

        def send(work: Work) -> None:
            with path.open("rb") as file:
                self._backend(place.bucket).write_from(file, place.bucket, place.key, tags or {}, work)

        # Two that write the same object at once would share its unfinished file.
        turn = self._turns.setdefault(place, asyncio.Lock())
        async with turn:
            await in_thread(send, progress)

    async def tags(self, place: ObjectAt) -> Mapping[str, str]:
        """Return an object's tags: see the port."""
        return await self._asked(place.bucket, lambda backend: backend.tags(place.bucket, place.key))

    async def delete(self, place: ObjectAt) -> None:
        """Remove an object: see the port."""
        try:
            await self._asked(place.bucket, lambda backend: backend.delete(place.bucket, place.key))
        except NoSuchBucket:
            return

    async def workspace(self, task_id: str) -> Path:
        """Return a task's folder: see the port."""
        folder = self._workspace(task_id)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as err:
            raise StorageFull(f"no folder can be made: {err.strerror}") from err
        return folder

    async def clear_workspace(self, task_id: str) -> None:
        """Remove a task's folder: see the port."""
        await asyncio.to_thread(shutil.rmtree, self._workspace(task_id), ignore_errors=True)

    async def workspaces(self) -> frozenset[str]:
        """Return the tasks that have folders: see the port."""
        return frozenset(path.name for path in self._work.iterdir() if _TASK_ID.fullmatch(path.name))

    async def _asked(self, bucket: str, ask: Callable[[Backend], T]) -> T:
        return await asyncio.to_thread(lambda: ask(self._backend(bucket)))

    def _backend(self, bucket: str) -> Backend:
        """Return who has a bucket."""
        names.check_bucket(bucket)
        if self._service is None or self._folders.has_bucket(bucket):
            return self._folders
        return self._service

    def _workspace(self, task_id: str) -> Path:
        if not _TASK_ID.fullmatch(task_id):
            raise ValueError(f"{task_id!r} is no id")
        return self._work / task_id


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w+b")
