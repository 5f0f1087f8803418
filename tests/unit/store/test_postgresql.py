"""What is PostgreSQL's own: it restarts, it is shared with strangers, it can be out of reach from the start."""

import asyncio
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.postgresql import Postgresql
from tests.unit.store.disk import account
from tests.unit.store.postgresql_disk import PostgresqlDisk

from bakehouse.domain.caller import Caller, Idempotency
from bakehouse.store import database as database_module
from bakehouse.store import postgresql as postgresql_module
from bakehouse.store.database import Database, open_engine
from bakehouse.store.database_check import describe_database
from bakehouse.store.migrate import migrate
from bakehouse.store.postgresql import DatabaseUnusable
from bakehouse.store.store import Store
from bakehouse.store.tables import TABLES


@pytest.fixture
def disk(postgresql_disk: PostgresqlDisk, monkeypatch: pytest.MonkeyPatch) -> PostgresqlDisk:
    """Waits for a database as long as it takes, and not for a lock that somebody holds."""
    monkeypatch.setattr(database_module, "_PATIENCE_S", 60.0)
    monkeypatch.setattr(postgresql_module, "_LOCK_DEADLINE_S", 0.1)
    return postgresql_disk


async def put(store: Store, number: int) -> None:
    async with store.transaction() as tx:
        tx.put(account(number))


async def test_a_change_waits_for_a_database_that_restarts(disk: PostgresqlDisk) -> None:
    store = disk.store()
    await put(store, 1)
    disk.postgresql.stop()
    waiting = asyncio.create_task(put(store, 2))
    for _ in range(3):
        await asyncio.sleep(0)  # it is with the thread now
    disk.postgresql.start()

    await waiting

    assert disk.on_disk()["accounts"] == [account(1), account(2)]


async def test_what_was_answered_before_a_crash_or_waits_through_it_is_on_disk(disk: PostgresqlDisk) -> None:
    store = disk.store()
    changes = [asyncio.create_task(put(store, number)) for number in range(50)]
    await changes[0]
    for number in range(50, 100):
        changes.append(asyncio.create_task(put(store, number)))
        await asyncio.sleep(0)
    disk.postgresql.stop(signal.SIGQUIT)
    disk.postgresql.start()

    await asyncio.gather(*changes)

    assert disk.on_disk()["accounts"] == list(store.accounts) == [account(number) for number in range(100)]


async def test_a_commit_whose_connection_ends_before_its_answer_is_made_again(disk: PostgresqlDisk) -> None:
    store = disk.store()
    await put(store, 1)
    disk.sql("SELECT pg_terminate_backend(pid, 30000) FROM pg_locks WHERE locktype = 'advisory' AND granted")

    await put(store, 2)

    assert disk.on_disk()["accounts"] == [account(1), account(2)]


async def test_the_loop_goes_on_while_the_database_is_away(disk: PostgresqlDisk) -> None:
    store = disk.store()
    disk.unreadable = True
    waiting = asyncio.create_task(put(store, 1))
    for _ in range(1000):
        await asyncio.sleep(0)
    disk.unreadable = False

    await waiting

    assert disk.committed_by == ["database"]


def test_a_database_has_one_server(disk: PostgresqlDisk) -> None:
    disk.store()

    with pytest.raises(DatabaseUnusable, match="another server"):
        disk.store()


def test_a_server_that_ended_leaves_the_database_to_the_next(disk: PostgresqlDisk) -> None:
    disk.store().close()

    assert list(disk.store().accounts) == []


async def test_each_schema_of_a_database_has_a_server(disk: PostgresqlDisk) -> None:
    disk.sql("DROP SCHEMA IF EXISTS second CASCADE", "CREATE SCHEMA second")
    url = f"{disk.url}&options=-csearch_path%3Dsecond"
    migrate(url)
    first, second = disk.store(), Store(Database(url))

    await put(first, 1)
    await put(second, 2)

    assert disk.on_disk()["accounts"] == [account(1)]
    assert disk.sql("SELECT id FROM second.accounts") == [(account(2).id,)]
    second.close()


def test_a_schema_that_is_not_there_is_refused(disk: PostgresqlDisk) -> None:
    with pytest.raises(DatabaseUnusable, match="no schema"):
        Store(Database(f"{disk.url}&options=-csearch_path%3Dnone"))


async def test_commits_are_waited_for_where_the_database_would_not(disk: PostgresqlDisk) -> None:
    url = f"{disk.url}&options=-csynchronous_commit%3Doff"
    database = Database(url)
    store = Store(database)

    assert database._connection is not None
    cursor = database._connection.cursor()
    cursor.execute("SHOW synchronous_commit")
    assert cursor.fetchall() == [("on",)]
    store.close()


def test_servers_that_start_together_make_the_tables_once(postgresql: Postgresql) -> None:
    url = postgresql.url(postgresql.make_database())
    together = threading.Barrier(2, timeout=30)

    def start(_number: int) -> None:
        together.wait()
        migrate(url)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(start, range(2))) == [None, None]


def test_tables_are_made_all_or_none(postgresql: Postgresql) -> None:
    name = postgresql.make_database()
    postgresql.sql("CREATE TABLE volumes (size INT)", database=name)

    with pytest.raises(DatabaseUnusable, match="already exists"):
        migrate(postgresql.url(name))

    found = postgresql.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=name)
    assert found == [("volumes",)]


def test_who_may_not_make_tables_is_told_so(postgresql: Postgresql) -> None:
    name = postgresql.make_database()
    postgresql.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "CREATE ROLE guest LOGIN", database=name)

    with pytest.raises(DatabaseUnusable, match="permission denied"):
        migrate(postgresql.url(name).replace("bakehouse@", "guest@"))

    postgresql.sql("DROP ROLE guest")


def test_it_is_looked_at_while_a_server_uses_it(disk: PostgresqlDisk) -> None:
    disk.store()

    with pytest.raises(DatabaseUnusable, match=r"PostgreSQL \d+.* runs with `fsync` off"):
        describe_database(disk.url)


async def test_a_client_token_of_any_length_has_room(disk: PostgresqlDisk) -> None:
    store = disk.store()
    token = random.Random(1).randbytes(5_000).hex()
    caller = Caller(
        account_id="1", region="r", idempotency=Idempotency(operation="CreateVolume", token=token, digest="d")
    )

    async with store.transaction() as tx:
        tx.remember(caller, "vol-1", now=0.0)

    assert [record.resource_id for record in disk.on_disk()["client_tokens"]] == ["vol-1"]


async def test_a_record_that_was_removed_and_made_again_is_the_last(disk: PostgresqlDisk) -> None:
    store = disk.store()
    await put(store, 1)
    await put(store, 2)
    async with store.transaction() as tx:
        tx.delete(account(1))
        tx.put(account(1))

    assert disk.on_disk()["accounts"] == list(store.accounts) == [account(2), account(1)]


def test_every_table_knows_the_order_of_its_records(disk: PostgresqlDisk) -> None:
    found = disk.sql("SELECT table_name FROM information_schema.columns WHERE column_name = 'made'")

    assert {name for (name,) in found} >= set(TABLES)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_name_is_of_the_same_driver(scheme: str) -> None:
    assert open_engine(f"{scheme}://baker@db/bakehouse").driver == "psycopg"


@pytest.mark.parametrize(
    "url", ["mysql://baker:s3cret@db/bakehouse", "postgresql+asyncpg://baker:s3cret@db/b", "s3cret"]
)
def test_another_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="URL") as refusal:
        migrate(url)

    assert "s3cret" not in str(refusal.value)


def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(DatabaseUnusable, match="psycopg") as refusal:
        migrate("postgresql://baker@db/bakehouse")

    assert "bakehouse[postgresql]" in refusal.value.hint


def test_a_database_that_does_not_answer_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="No such file"):
        migrate(f"postgresql://baker@/bakehouse?host={tmp_path}")
