"""Looking at a database from outside, as `bakehouse doctor` does."""

from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bakehouse.store.database import open_engine
from bakehouse.store.postgresql import DatabaseUnusable, unusable

#: Source: SQLite, "Database File Format", "The Database Header".
_SQLITE_MAGIC: Final = b"SQLite format 3\0"


def describe_database(url: str) -> str:
    """Say which database a URL is of. Nothing is changed, and a server that uses it does not notice.

    Raises:
        DatabaseUnusable: It does not answer, or it would lose what has been answered.
    """
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        return _describe_sqlite(Path(str(engine.url.database)))
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


def _describe_sqlite(path: Path) -> str:
    """Say which file it is, or will be. Only its begin is read, for a server may have it open."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_SQLITE_MAGIC))
    except FileNotFoundError:
        begin = b""
    except OSError as err:
        raise DatabaseUnusable(f"`{path}` cannot be read: {err.strerror}", "give it back to this user") from err
    if begin not in (b"", _SQLITE_MAGIC):
        raise DatabaseUnusable(f"`{path}` is no database", "put it back from a copy, or choose another `--home`")
    return f"SQLite: {path}"
