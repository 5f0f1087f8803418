"""Where changes are committed: on the spot while the disk is quick, else by the thread; in their order either way."""

import asyncio
import threading

import pytest
from tests.unit.store.disk import SqliteDisk, account, contents

from bakehouse.store.database import Database
from bakehouse.store.store import Store, StoreUnavailable


@pytest.fixture
def disk(sqlite_disk: SqliteDisk) -> SqliteDisk:
    """PostgreSQL is always the thread's: what is far away may be away."""
    return sqlite_disk


async def rename(store: Store, name: str) -> None:
    async with store.transaction() as tx:
        tx.put(account(name=name))


async def warm_up(disk: SqliteDisk, store: Store) -> None:
    """Let the store learn that its disk is quick. The clock is the database's own, so say what it shall see."""
    await rename(store, "warm")
    store._database._commit_s = 0.0
    disk.committed_by.clear()


async def test_a_quick_disk_is_written_on_the_spot(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)

    await rename(store, "b")

    assert disk.committed_by == [threading.main_thread().name]


async def test_a_slow_disk_is_waited_for_by_the_thread(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    store._database._commit_s = 0.05

    await rename(store, "b")

    assert disk.committed_by == ["database"]


async def test_many_records_are_written_by_the_thread(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)

    async with store.transaction() as tx:
        for number in range(65):
            tx.put(account(number))

    assert disk.committed_by == ["database"]


async def test_nothing_overtakes_what_the_thread_has_yet_to_write(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    store._database._commit_s = 0.05
    first = asyncio.create_task(rename(store, "first"))
    for _ in range(3):
        await asyncio.sleep(0)  # it is with the thread now
    store._database._commit_s = 0.0

    await asyncio.gather(first, rename(store, "second"))

    assert [entry.name for entry in disk.on_disk()["accounts"]] == ["second"]


async def test_a_full_disk_on_the_spot_refuses_and_memory_is_what_the_disk_is(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    disk.broken = True

    with pytest.raises(Exception, match="could not be written"):
        await rename(store, "b")

    assert contents(store) == disk.on_disk()
    assert [entry.name for entry in store.accounts] == ["warm"]


async def test_a_disk_that_cannot_even_be_read_on_the_spot_makes_nothing_forgotten(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    disk.unreadable = True

    with pytest.raises(StoreUnavailable):
        await rename(store, "b")

    assert [entry.id for entry in store.accounts] == [account().id]


async def test_a_change_that_comes_alone_does_not_wait_for_the_event_loop(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)

    await rename(store, "b")

    assert not turned.is_set()
    assert [entry.name for entry in disk.on_disk()["accounts"]] == ["b"]


async def test_who_makes_changes_in_a_row_lets_others_have_turns(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)

    await rename(store, "b")
    await rename(store, "c")

    assert turned.is_set()
    assert [entry.name for entry in disk.on_disk()["accounts"]] == ["c"]


async def test_changes_of_one_turn_share_a_commit_but_for_the_first_that_nobody_was_expected_to_follow(
    disk: SqliteDisk,
) -> None:
    store = disk.store()
    await warm_up(disk, store)

    await asyncio.gather(*(rename(store, str(number)) for number in range(16)))

    assert len(disk.committed_by) == 2
    assert [entry.name for entry in disk.on_disk()["accounts"]] == ["15"]


async def test_where_changes_came_together_the_next_share_one_commit(disk: SqliteDisk) -> None:
    store = disk.store()
    await warm_up(disk, store)
    await asyncio.gather(*(rename(store, str(number)) for number in range(16)))
    disk.committed_by.clear()

    await asyncio.gather(*(rename(store, str(number)) for number in range(16)))

    assert len(disk.committed_by) == 1


async def test_a_long_log_is_there_from_the_first_commit_on(disk: SqliteDisk) -> None:
    store = Store(Database(disk.url, long_log=True))

    await rename(store, "first")

    checkpoint_bytes = 1000 * 4096
    assert disk.path.with_name(disk.path.name + "-wal").stat().st_size > checkpoint_bytes
    assert disk.path.stat().st_size < checkpoint_bytes
    store.close()
