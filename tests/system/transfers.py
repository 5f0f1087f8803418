"""Buckets to import from and export to, and transfers that wait for a test."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server import RunningServer

DEADLINE_S = 30
DISK_BYTES = 1 << 20


class Bucket:
    """A bucket of a server: a folder in its home."""

    def __init__(self, running: RunningServer, name: str) -> None:
        self.name = f"bucket-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self._folder = running.home / "buckets" / self.name
        self._folder.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, content: bytes = b"", *, size: int | None = None) -> str:
        """Make an object, of zeros behind its content, and return its key."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            file.truncate(size if size is not None else max(len(content), DISK_BYTES))
        return key

    def take_file(self, key: str, file: Path) -> str:
        """Make a file an object, however large it pretends to be."""
        file.rename(self._folder / key)
        return key

    def keys(self) -> set[str]:
        """Return everything that is in the folder, unfinished or not."""
        return {str(path.relative_to(self._folder)) for path in self._folder.rglob("*") if path.is_file()}

    def size(self, key: str) -> int:
        return (self._folder / key).stat().st_size

    def read(self, key: str) -> bytes:
        return (self._folder / key).read_bytes()

    def delete(self, key: str) -> None:
        (self._folder / key).unlink()


def until(ask: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """Ask until the answer is so, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.01)
    return answer


def import_task(ec2: Any, task_id: str) -> Any:
    """Return an import of an image as it is now."""
    (task,) = ec2.describe_import_image_tasks(ImportTaskIds=[task_id])["ImportImageTasks"]
    return task


def ended_import(ec2: Any, task_id: str) -> Any:
    """Return an import of an image as it is when it has ended."""
    return until(lambda: import_task(ec2, task_id), lambda task: task["Status"] in ("completed", "deleted"))


def snapshot_task(ec2: Any, task_id: str) -> Any:
    (task,) = ec2.describe_import_snapshot_tasks(ImportTaskIds=[task_id])["ImportSnapshotTasks"]
    return task


def ended_snapshot_import(ec2: Any, task_id: str) -> Any:
    return until(
        lambda: snapshot_task(ec2, task_id),
        lambda task: task["SnapshotTaskDetail"]["Status"] in ("completed", "deleted"),
    )


def export_task(ec2: Any, task_id: str) -> Any:
    (task,) = ec2.describe_export_image_tasks(ExportImageTaskIds=[task_id])["ExportImageTasks"]
    return task


def ended_export(ec2: Any, task_id: str) -> Any:
    return until(lambda: export_task(ec2, task_id), lambda task: task["Status"] in ("completed", "deleted"))


def instance_export(ec2: Any, task_id: str) -> Any:
    (task,) = ec2.describe_export_tasks(ExportTaskIds=[task_id])["ExportTasks"]
    return task


def ended_instance_export(ec2: Any, task_id: str) -> Any:
    return until(lambda: instance_export(ec2, task_id), lambda task: task["State"] in ("completed", "cancelled"))


def store_task(ec2: Any, image_id: str) -> Any:
    return ec2.describe_store_image_tasks(ImageIds=[image_id])["StoreImageTaskResults"][0]


def ended_store(ec2: Any, image_id: str) -> Any:
    return until(lambda: store_task(ec2, image_id), lambda task: task["StoreTaskState"] != "InProgress")


def settled_image(ec2: Any, image_id: str) -> Any:
    return until(
        lambda: ec2.describe_images(ImageIds=[image_id])["Images"][0], lambda image: image["State"] != "pending"
    )


@contextmanager
def transfers_wait(running: RunningServer) -> Iterator[None]:
    """Let no transfer have its turn until the block ends."""
    turns = running.server.context.transfers._turns

    async def take() -> None:
        for _ in range(2):
            await turns.acquire()

    async def give_back() -> None:
        for _ in range(2):
            turns.release()

    running.call(take())
    try:
        yield
    finally:
        running.call(give_back())
