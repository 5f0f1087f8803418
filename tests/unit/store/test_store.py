"""Transactions: all or nothing, seen at once, on disk before they are acknowledged."""

import asyncio
from dataclasses import replace

import pytest
from tests.unit.store.disk import LARGE, Disk, account, contents, key
from tests.waiting import until

from bakehouse.store.store import Store, StoreUnavailable


async def put(store: Store, *records: object) -> None:
    async with store.transaction() as tx:
        for record in records:
            tx.put(record)  # type: ignore[arg-type] # any record


async def test_a_record_is_on_disk_when_the_block_is_left(disk: Disk) -> None:
    store = disk.store()

    await put(store, account())

    assert disk.on_disk()["accounts"] == [account()]


async def test_a_record_is_seen_inside_the_block(disk: Disk) -> None:
    store = disk.store()

    async with store.transaction() as tx:
        tx.put(account())
        seen = store.accounts.get(account().id)

    assert seen == account()


async def test_a_removed_record_is_gone_from_memory_and_disk(disk: Disk) -> None:
    store = disk.store()
    await put(store, account(), key())

    async with store.transaction() as tx:
        tx.delete(key())

    assert list(store.access_keys) == []
    assert disk.on_disk()["access_keys"] == []


async def test_removing_what_is_not_there_does_nothing(disk: Disk) -> None:
    store = disk.store()

    async with store.transaction() as tx:
        tx.delete(account())

    assert list(store.accounts) == []


async def test_an_exception_takes_everything_back_in_order(disk: Disk) -> None:
    store = disk.store()
    await put(store, account(), key())
    before = contents(store)

    async def fail() -> None:
        async with store.transaction() as tx:
            tx.put(account(name="changed"))
            tx.put(account(name="changed again"))
            tx.put(account(2))
            tx.delete(key())
            tx.put(key(2))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()

    assert contents(store) == before == disk.on_disk()
    assert list(store.access_keys.by("account")[account().id]) == [key().id]


async def test_a_transaction_inside_another_is_an_error_that_harms_neither_records_nor_later_ones(disk: Disk) -> None:
    store = disk.store()

    async def nest() -> None:
        async with store.transaction() as tx:
            tx.put(account())
            await put(store, account(2))

    with pytest.raises(RuntimeError, match="open already"):
        await nest()

    assert list(store.accounts) == []
    await put(store, account(3))
    assert contents(store) == disk.on_disk()


async def test_a_body_that_awaits_is_found_out_by_the_next_transaction(disk: Disk) -> None:
    store = disk.store()
    inside, leave = asyncio.Event(), asyncio.Event()

    async def dawdle() -> None:
        async with store.transaction() as tx:
            tx.put(account())
            inside.set()
            await leave.wait()

    dawdling = asyncio.create_task(dawdle())
    await inside.wait()
    with pytest.raises(RuntimeError, match="awaited"):
        await put(store, account(2))
    leave.set()
    await dawdling

    assert contents(store)["accounts"] == [account()]
    assert contents(store) == disk.on_disk()


async def test_a_full_disk_refuses_and_memory_is_what_the_disk_is(disk: Disk) -> None:
    store = disk.store()
    await put(store, account(), key())
    before = contents(store)
    disk.full = True

    with pytest.raises(StoreUnavailable):
        await put(store, account(2, LARGE), account(name="changed"), key(2))

    assert contents(store) == before == disk.on_disk()


async def test_with_room_again_the_store_writes_again_at_once(disk: Disk) -> None:
    store = disk.store()
    disk.full = True
    with pytest.raises(StoreUnavailable):
        await put(store, account(1, LARGE))
    disk.full = False

    await put(store, account(2, LARGE))

    assert contents(store)["accounts"] == [account(2, LARGE)]
    assert contents(store) == disk.on_disk()


async def test_what_is_based_on_a_change_that_failed_fails_too(disk: Disk) -> None:
    store = disk.store()
    disk.full = True

    outcomes = await asyncio.gather(
        put(store, account(1, LARGE)),
        put(store, key(1, account(1).id)),
        put(store, key(2, account(1).id)),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert contents(store) == disk.on_disk()
    assert list(store.access_keys) == []


async def test_a_failed_write_behind_is_forgotten_and_the_next_transaction_succeeds(disk: Disk) -> None:
    store = disk.store()
    await put(store, account())
    disk.full = True
    store.write_behind(account(name=LARGE))
    await until(lambda: store.accounts[account().id].name != LARGE)
    disk.full = False

    await put(store, account(2))

    assert contents(store)["accounts"] == [account(), account(2)]
    assert contents(store) == disk.on_disk()


async def test_what_is_written_behind_is_seen_at_once_and_on_disk_after_the_end(disk: Disk) -> None:
    store = disk.store()
    await put(store, account())

    store.write_behind(account(name="behind"))
    seen = store.accounts[account().id].name
    store.close()

    assert seen == "behind"
    assert disk.on_disk()["accounts"] == [account(name="behind")]


async def test_a_write_that_fails_in_no_known_way_ends_nothing(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    store = disk.store()
    with monkeypatch.context() as broken:
        broken.setattr(store._database, "_apply", None)
        with pytest.raises(StoreUnavailable):
            await put(store, account())

    await put(store, account(2))

    assert contents(store)["accounts"] == [account(2)]
    assert contents(store) == disk.on_disk()


async def test_a_disk_that_cannot_even_be_read_makes_nothing_forgotten(disk: Disk) -> None:
    store = disk.store()
    await put(store, account())
    disk.unreadable = True
    with pytest.raises(StoreUnavailable):
        await put(store, account(2))
    assert store.accounts.get(account().id) == account()
    disk.unreadable = False

    with pytest.raises(StoreUnavailable):  # it learns of the disk's recovery by this
        await put(store, account(3))
    await put(store, account(4))

    assert contents(store)["accounts"] == [account(), account(4)]
    assert contents(store) == disk.on_disk()


async def test_a_caller_who_goes_away_takes_nothing_back(disk: Disk) -> None:
    store = disk.store()
    writing = asyncio.create_task(put(store, account()))
    await asyncio.sleep(0)  # it goes as far as waiting for the disk

    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await put(store, account(2))

    assert contents(store)["accounts"] == [account(), account(2)]
    assert contents(store) == disk.on_disk()


async def test_a_caller_who_goes_away_before_the_disk_refuses_leaves_no_ghost(disk: Disk) -> None:
    store = disk.store()
    disk.full = True
    writing = asyncio.create_task(put(store, account(1, LARGE)))
    await asyncio.sleep(0)  # it goes as far as waiting for the disk

    writing.cancel()
    await until(lambda: len(store.accounts) == 0)

    assert contents(store) == disk.on_disk()


async def test_another_server_reads_the_same_in_the_same_order(disk: Disk) -> None:
    store = disk.store()
    for number in (3, 1, 2):
        await put(store, account(number), key(number, account(number).id))
    await put(store, account(3, "changed"))
    before = contents(store)
    store.close()

    again = disk.store()

    assert contents(again) == before
    assert [entry.name for entry in again.accounts] == ["changed", "test", "test"]
    assert list(again.access_keys.by("account")[account(1).id]) == [key(1).id]


async def test_many_transactions_at_once_share_commits(disk: Disk) -> None:
    store = disk.store()

    await asyncio.gather(*(put(store, account(number)) for number in range(300)))

    assert len(disk.committed_by) < 30
    assert contents(store) == disk.on_disk()


async def test_a_transaction_without_changes_writes_nothing(disk: Disk) -> None:
    store = disk.store()

    async with store.transaction():
        pass

    assert disk.committed_by == []


async def test_a_changed_record_keeps_its_place(disk: Disk) -> None:
    store = disk.store()
    await put(store, account(1), account(2))

    await put(store, replace(account(1), name="changed"))

    assert [entry.id for entry in store.accounts] == [account(1).id, account(2).id]
