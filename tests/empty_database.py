"""A database with tables and nothing in them, made once a run: to make one takes longer than most tests."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bakehouse.store.database import sqlite_url
from bakehouse.store.migrate import migrate


@cache
def empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        migrate(sqlite_url(path))
        return path.read_bytes()
