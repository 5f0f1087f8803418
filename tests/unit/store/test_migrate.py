"""Bringing a database to this version's schema, and older documents to this version's types."""

from pathlib import Path

from sqlalchemy import inspect, text
from tests.unit.store.disk import Disk, SqliteDisk, account

from bakehouse.store.database import Database, open_engine, sqlite_url
from bakehouse.store.migrate import HEAD, migrate
from bakehouse.store.store import Store
from bakehouse.store.tables import TABLES


def test_a_new_database_gets_every_table(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "new.db")

    migrate(url)

    engine = open_engine(url)
    assert set(inspect(engine).get_table_names()) == {*TABLES, "alembic_version"}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD
    engine.dispose()


async def test_migrating_again_changes_nothing(disk: Disk) -> None:
    store = disk.store()
    async with store.transaction() as tx:
        tx.put(account())

    migrate(disk.url)

    assert disk.on_disk()["accounts"] == [account()]


def test_the_database_flushes_every_commit(sqlite_disk: SqliteDisk) -> None:
    engine = open_engine(sqlite_disk.url)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    engine.dispose()


def test_a_document_of_a_later_version_is_read_without_what_is_new_in_it(disk: Disk) -> None:
    engine = open_engine(disk.url)
    document = b'{"id":"1","name":"n","created_at":"2026-11-23T06:18:09Z","colour":"red"}'
    with engine.begin() as connection:
        connection.execute(TABLES["accounts"].insert(), {"id": "1", "document": document})
    engine.dispose()

    store = Store(Database(disk.url))

    assert store.accounts["1"].name == "n"
    store.close()


def test_a_document_of_an_earlier_version_is_read_with_defaults(disk: Disk) -> None:
    engine = open_engine(disk.url)
    document = b'{"id":"vpc-1","account_id":"1","region":"us-east-1","cidr":"10.0.0.0/16","is_default":true}'
    with engine.begin() as connection:
        connection.execute(TABLES["vpcs"].insert(), {"id": "vpc-1", "document": document})
    engine.dispose()

    store = Store(Database(disk.url))

    assert store.vpcs["vpc-1"].tags == {}
    store.close()


def test_an_interface_of_the_version_that_had_one_for_each_instance_is_read(disk: Disk) -> None:
    engine = open_engine(disk.url)
    document = (
        b'{"id":"eni-1","account_id":"1","region":"us-east-1","vpc_id":"vpc-1","subnet_id":"subnet-1",'
        b'"availability_zone":"us-east-1a","instance_id":"i-1","mac":"02:00:00:00:00:01","private_ip":"172.31.0.4",'
        b'"public_ip":"127.16.0.1","wants_public_ip":true,"group_ids":["sg-1"],"attachment_id":"eni-attach-1",'
        b'"attached_at":"2026-11-23T06:18:09Z","delete_on_termination":true,"description":"","source_dest_check":true,'
        b'"tags":{}}'
    )
    with engine.begin() as connection:
        connection.execute(TABLES["network_interfaces"].insert(), {"id": "eni-1", "document": document})
    engine.dispose()

    store = Store(Database(disk.url))

    (interface,) = store.network_interfaces.by("instance")["i-1"].values()
    assert (interface.status, interface.device_index, interface.automatic_public_ip) == ("in-use", 0, "127.16.0.1")
    assert interface.private_ips == ("172.31.0.4",)
    store.close()
