import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bakehouse.drivers.volumes import durable
from bakehouse.drivers.volumes.durable import DiskThreads, at_once


def test_a_file_is_written_as_a_whole(tmp_path: Path) -> None:
    durable.write(tmp_path / "record", b"new")

    assert (tmp_path / "record").read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.write(tmp_path / "record", b"old")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        durable.write(tmp_path / "record", b"new")

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"record": b"old"}


def failing(number: int) -> Callable[[int], None]:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync


def test_the_content_is_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name), steps))

    durable.write(tmp_path / "record", b"new")

    assert steps == ["fsync", "replace", "fsync"]


def noted(name: str, call: Callable[..., None], steps: list[str]) -> Callable[..., None]:
    def note(*arguments: object) -> None:
        steps.append(name)
        call(*arguments)

    return note


async def test_a_cancelled_caller_waits_for_the_thread() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()
        done.set()

    caller = asyncio.create_task(DiskThreads().run(work))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    await asyncio.sleep(0)
    caller.cancel()
    go_on.set()
    await asyncio.wait({caller})

    assert (caller.cancelled(), done.is_set()) == (True, True)


async def test_the_error_of_a_thread_reaches_its_caller() -> None:
    def work() -> None:
        raise ValueError("bad flour")

    with pytest.raises(ValueError, match="bad flour"):
        await DiskThreads().run(work)


async def test_one_failure_waits_for_the_others() -> None:
    finished: list[int] = []

    async def fail() -> None:
        raise ValueError("bad flour")

    async def finish() -> None:
        await asyncio.sleep(0)
        finished.append(1)

    with pytest.raises(ValueError, match="bad flour"):
        await at_once([fail(), finish()])

    assert finished == [1]
