"""Bring a database to this version's schema."""

from typing import Final

from sqlalchemy import Connection, inspect, text

from bakehouse.store.database import open_engine

HEAD: Final = "0002"


def migrate(url: str) -> None:
    """Make or upgrade the tables. Does nothing, quickly, when they are current."""
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if not _is_current(connection):
                _upgrade(connection)
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

    config = Config()
    config.set_main_option("script_location", "bakehouse:store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    connection.commit()
