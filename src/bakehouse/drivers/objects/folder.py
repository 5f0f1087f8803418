"""Buckets as folders: an object is a regular file, the slashes of its key are folders.

A bucket may be a symbolic link, by which the host's owner keeps it elsewhere. Inside of a bucket no link is ever
followed: every step of a key is opened by its name in the folder opened before it, so that whoever may write into a
bucket cannot lead the server out of it.
"""

import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from bakehouse.drivers.long_work import Work
from bakehouse.drivers.objects import names
from bakehouse.drivers.objects.sparse import copy_sparse
from bakehouse.ports.objects import AccessDenied, InvalidObjectName, NoSuchBucket, NoSuchObject, ObjectTooLarge
from bakehouse.ports.volumes import StorageFull

#: Where the tags of a bucket's objects are: no bucket can have this name.
TAGS_FOLDER: Final = ".tags"

_SEGMENT_BYTES_MAX: Final = 255
_UNFINISHED: Final = re.compile(r"\.[0-9a-f]{32}\.part")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

#: What opening a name says when it is a link (ELOOP), or a folder where a file should be or the reverse.
_NOT_OURS: Final = (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO)


class FolderBuckets:
    """The buckets in one folder. Fulfils `Backend`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has_bucket(self, bucket: str) -> bool:
        """Tell whether there is such a folder."""
        return (self.folder / bucket).is_dir()

    def check_bucket(self, bucket: str) -> None:
        """Return if this server may write into the folder."""
        with _named(bucket, ""), self._opened_bucket(bucket) as fd:
            if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd, effective_ids=True):
                raise AccessDenied(f"the folder of the bucket {bucket} cannot be written to")

    def size(self, bucket: str, key: str) -> int:
        """Return the size of a file."""
        with self._opened_object(bucket, key) as fd:
            return os.fstat(fd).st_size

    def read_into(self, bucket: str, key: str, file: BinaryIO, limit_bytes: int, work: Work) -> None:
        """Copy a file, holes as holes."""
        with self._opened_object(bucket, key) as fd:
            size = os.fstat(fd).st_size
            if size > limit_bytes:
                raise ObjectTooLarge(f"it has {size} bytes; {limit_bytes} are the most")
            copy_sparse(fd, file.fileno(), size, work)

    def write_from(self, file: BinaryIO, bucket: str, key: str, tags: Mapping[str, str], work: Work) -> None:
        """Copy a file beside its place, then rename it."""
        *folders, name = _segments(key)
        unfinished = f".{hashlib.sha256(key.encode()).hexdigest()[:32]}.part"
        with (
            _named(bucket, key),
            self._opened_bucket(bucket) as top,
            _opened_folder(top, folders, make=True) as folder,
        ):
            _require_place(folder, name)
            try:
                with _made_anew(unfinished, folder) as target:
                    copy_sparse(file.fileno(), target, os.fstat(file.fileno()).st_size, work)
                    os.fsync(target)
                self._keep_tags(bucket, key, tags)
                os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished, dir_fd=folder)
                raise
            os.fsync(folder)

    def tags(self, bucket: str, key: str) -> Mapping[str, str]:
        """Read what `write_from` kept beside the buckets."""
        self.size(bucket, key)
        try:
            kept: dict[str, str] = json.loads(self._tags_file(bucket, key).read_bytes())
        except FileNotFoundError:
            return {}
        return kept

    def delete(self, bucket: str, key: str) -> None:
        """Remove a file, its tags, and the folders that hold nothing more."""
        *folders, name = _segments(key)
        with suppress(NoSuchBucket, NoSuchObject), _named(bucket, key), self._opened_bucket(bucket) as top:
            with _opened_folder(top, folders) as folder:
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
            while folders:
                with _opened_folder(top, folders[:-1]) as above:
                    try:
                        os.rmdir(folders.pop(), dir_fd=above)
                    except OSError:
                        break
        self._tags_file(bucket, key).unlink(missing_ok=True)

    @contextmanager
    def _opened_bucket(self, bucket: str) -> Iterator[int]:
        names.check_bucket(bucket)
        try:
            # The one link that may be followed.
            fd = os.open(self.folder / bucket, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as err:
            raise NoSuchBucket(bucket) from err
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _opened_object(self, bucket: str, key: str) -> Iterator[int]:
        *folders, name = _segments(key)
        with _named(bucket, key), self._opened_bucket(bucket) as top, _opened_folder(top, folders) as folder:
            # Without O_NONBLOCK the opening of a pipe would wait for a writer for ever.
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise NoSuchObject(f"{bucket}/{key}")
                yield fd
            finally:
                os.close(fd)

    def _keep_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        path = self._tags_file(bucket, key)
        if not tags:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(dict(tags)))
        unfinished.replace(path)

    def _tags_file(self, bucket: str, key: str) -> Path:
        # By a hash: a key may be longer than a file's name, and need not be one.
        return self.folder / TAGS_FOLDER / bucket / (hashlib.sha256(key.encode()).hexdigest() + ".json")


def _segments(key: str) -> list[str]:
    """Split a key into names of folders and, last, of a file.

    Raises:
        InvalidObjectName: A part of it is no name.
    """
    names.check_key(key)
    segments = key.split("/")
    for segment in segments:
        if segment in ("", ".", "..") or "\0" in segment or len(segment.encode()) > _SEGMENT_BYTES_MAX:
            raise InvalidObjectName(f"the key {key!r} names no file: in a folder each part between slashes is a name")
    if _UNFINISHED.fullmatch(segments[-1]):
        raise InvalidObjectName(f"the key {key!r} looks like an unfinished object's")
    return segments


@contextmanager
def _opened_folder(top: int, folders: list[str], *, make: bool = False) -> Iterator[int]:
    """Go down step by step, following no link; the caller uses the descriptor inside of the block only."""
    fd = os.dup(top)
    try:
        for name in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=fd)
            below = os.open(name, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _made_anew(name: str, folder: int) -> Iterator[int]:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def _require_place(folder: int, name: str) -> None:
    """Refuse to replace what is no object."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise InvalidObjectName(f"{name!r} is no regular file there")


@contextmanager
def _named(bucket: str, key: str) -> Iterator[None]:
    """Turn the system's errors into the port's."""
    try:
        yield
    except FileNotFoundError as err:
        raise NoSuchObject(f"{bucket}/{key}") from err
    except PermissionError as err:
        raise AccessDenied(f"{bucket}/{key}: {err.strerror}") from err
    except OSError as err:
        if err.errno in _FULL:
            raise StorageFull(f"the disk of the bucket {bucket} is full") from err
        if err.errno in _NOT_OURS:
            raise NoSuchObject(f"{bucket}/{key} is no regular file below folders") from err
        raise
