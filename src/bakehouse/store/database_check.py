"""Looking at a database from outside, as `bakehouse doctor` does."""

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bakehouse.store.database import open_engine
from bakehouse.store.postgresql import DatabaseUnusable, unusable


def describe_database(url: str) -> str:
    """Say which database a URL is of. Nothing is changed, and a server that uses it does not notice.

    Raises:
        DatabaseUnusable: It does not answer, or it would lose what has been answered.
    """
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        return f"SQLite: {engine.url.database}"
    try:
        with engine.connect() as connection:
            found = connection.execute(
                text("SELECT current_setting('server_version'), current_database(), current_setting('fsync')")
            )
            version, name, fsync = found.one()
    except DBAPIError as err:
        raise unusable(err) from err
    finally:
        engine.dispose()
    if fsync == "off":
        raise DatabaseUnusable(
            f"PostgreSQL {version} runs with `fsync` off, so a power cut may destroy all records",
            "set it on in postgresql.conf",
        )
    return f"PostgreSQL {version}: {name}"
