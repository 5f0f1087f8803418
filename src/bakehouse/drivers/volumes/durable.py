"""Files that survive a power cut, made in threads, so that no event loop waits for a disk."""

import asyncio
import errno
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Suffix of a file whose content is not complete yet; after a crash, a leftover.
UNFINISHED: Final = ".tmp"

#: Threads wait for the disk, not for a processor: a volume whose data takes seconds to reach it holds up no other.
MAX_THREADS: Final = 32


class DiskThreads:
    """Runs blocking file work away from the event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="volumes")

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread and return its result.

        A cancelled caller learns of it only when the thread is through: cleaning up must not race with the work.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait({future})
            except asyncio.CancelledError as err:
                cancelled = err
        if cancelled is not None:
            future.exception()  # Taken note of: the caller is past caring.
            raise cancelled
        return future.result()


async def at_once(work: Iterable[Awaitable[T]]) -> list[T]:
    """Await all of it at the same time and to its end, then raise the first error or return the results."""
    results = await asyncio.gather(*work, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done


def write(path: Path, content: bytes) -> None:
    """Replace a small file as a whole. Afterwards it is on disk with its name, or it is as it was.

    Raises:
        OSError: The file is as it was, unless only its directory could not be synchronised.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(unfinished, path)  # noqa: PTH105 - one family of calls: open, fsync, replace
    except Exception:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there. Afterwards no power cut brings it back."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def move(source: Path, target: Path) -> None:
    """Give a file another name, also on another disk; a file of that name is replaced. Afterwards that is on disk.

    Raises:
        OSError: The source is as it was, and at the target there is what was there before.
    """
    try:
        os.replace(source, target)  # noqa: PTH105 - one family of calls: open, fsync, replace
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        unfinished = target.with_name(target.name + UNFINISHED)
        try:
            shutil.copyfile(source, unfinished)
            unfinished.chmod(source.stat().st_mode)
            sync_file(unfinished)
            os.replace(unfinished, target)  # noqa: PTH105 - as above
        except Exception:
            unfinished.unlink(missing_ok=True)
            raise
        source.unlink()
    sync_directory(target.parent)


def sync_file(path: Path) -> None:
    """Bring what any process wrote to this file to the disk."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
