"""Bring a database to this version's schema."""

from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from bakehouse.store.database import open_engine
from bakehouse.store.postgresql import DatabaseUnusable, claim, unusable

HEAD: Final = "0002"


def migrate(url: str) -> None:
    """Make or upgrade the tables. Does nothing, quickly, when they are current.

    In PostgreSQL all of it is one transaction, of one server at a time while no other uses the database.

    Raises:
        DatabaseUnusable: It cannot be opened, another server uses the database, or a later version has.
    """
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if _is_current(connection):
                return
            if engine.dialect.name == "postgresql":
                connection.rollback()
                claim(connection.connection)
            if not _is_current(connection):
                _upgrade(connection)
    except DBAPIError as err:
        raise unusable(err) from err
    finally:
        engine.dispose()


def _is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    return bool(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD)


def _upgrade(connection: Connection) -> None:
    # Alembic takes 0.2 s to import; most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "bakehouse:store/migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as err:
        raise DatabaseUnusable(
            f"the database is of no version that this one knows: {err}", "run the version of Bakehouse that made it"
        ) from err
    connection.commit()
