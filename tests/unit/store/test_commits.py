"""Where changes are committed: on the spot while the disk is quick, else by the thread; in their order either way."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from tests.unit.store.disk import Disk, account, contents

from bakehouse.store.database import Database
from bakehouse.store.store import Store


async def rename(store: Store, name: str) -> None:
    async with store.transaction() as tx:
        tx.put(account(name=name))


async def warm_up(store: Store) -> None:
    """Let the store learn that its disk is quick. The clock is the database's own, so say what it shall see."""
    await rename(store, "warm")
    store._database._commit_s = 0.0


@contextmanager
def committing_threads(store: Store) -> Iterator[list[str]]:
    """Collect the names of the threads that commit."""
    names: list[str] = []

    def note(_connection: object) -> None:
        names.append(threading.current_thread().name)

    event.listen(store._database._engine, "commit", note)
    yield names
    event.remove(store._database._engine, "commit", note)


async def test_a_quick_disk_is_written_on_the_spot(disk: Disk) -> None:
    store = disk.store()
    await warm_up(store)

    with committing_threads(store) as threads:
        await rename(store, "b")

    assert threads == [threading.main_thread().name]


async def test_a_slow_disk_is_waited_for_by_the_thread(disk: Disk) -> None:
    store = disk.store()
    await warm_up(store)
    store._database._commit_s = 0.05

    with committing_threads(store) as threads:
        await rename(store, "b")

    assert threads == ["database"]


async def test_many_records_are_written_by_the_thread(disk: Disk) -> None:
    store = disk.store()
    await warm_up(store)

    with committing_threads(store) as threads:
        async with store.transaction() as tx:
            for number in range(65):
                tx.put(account(number))

    assert threads == ["database"]


async def test_nothing_overtakes_what_the_thread_has_yet_to_write(disk: Disk) -> None:
    store = disk.store()
    await warm_up(store)
    store._database._commit_s = 0.05
    first = asyncio.create_task(rename(store, "first"))
    for _ in range(3):
        await asyncio.sleep(0)  # it is with the thread now
    store._database._commit_s = 0.0

    await asyncio.gather(first, rename(store, "second"))

    assert [entry.name for entry in disk.on_disk()["accounts"]] == ["second"]


async def test_a_full_disk_on_the_spot_refuses_and_memory_is_what_the_disk_is(disk: Disk) -> None:
    store = disk.store()
    await warm_up(store)
    disk.broken = True

    with pytest.raises(Exception, match="could not be written"):
        await rename(store, "b")

    assert contents(store) == disk.on_disk()
    assert [entry.name for entry in store.accounts] == ["warm"]


async def test_changes_of_one_turn_share_a_commit(disk: Disk) -> None:
    store = disk.store()
    await warm_up(store)

    with committing_threads(store) as threads:
        await asyncio.gather(*(rename(store, str(number)) for number in range(16)))

    assert len(threads) == 1


async def test_a_long_log_is_there_from_the_first_commit_on(disk: Disk) -> None:
    store = Store(Database(disk.url, long_log=True))

    await rename(store, "first")

    checkpoint_bytes = 1000 * 4096
    assert disk.path.with_name(disk.path.name + "-wal").stat().st_size > checkpoint_bytes
    assert disk.path.stat().st_size < checkpoint_bytes
    store.close()
