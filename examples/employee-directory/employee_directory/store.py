"""The records: one SQLite database beside the photos.

A photo is on disk before the record that names it, and goes after it. What a crash leaves is at worst a
photo without a record, and the next start removes it.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from employee_directory.photos import Photos, sync_directory
from employee_directory.profile import Profile

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS employee (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    job_title TEXT NOT NULL,
    location TEXT NOT NULL,
    email TEXT NOT NULL,
    badges TEXT NOT NULL,  -- a JSON list
    photo TEXT             -- the name of a file in photos/
) STRICT
"""

SELECT: Final = "SELECT id, name, job_title, location, email, badges, photo FROM employee"


class NoSuchEmployee(LookupError):
    """No record has this id."""


@dataclass(frozen=True, slots=True)
class Employee:
    """A record: a profile with its id and the name of its photo, if there is one."""

    id: int
    profile: Profile
    photo: str | None


class Store:
    """All employees. Safe to share between threads: each call has a connection of its own."""

    def __init__(self, directory: Path) -> None:
        """Open the store in a directory that exists, making what is missing."""
        self.photos = Photos(directory / "photos")
        self._path = directory / "directory.sqlite3"
        with self._connection() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(SCHEMA)
            named = {name for (name,) in database.execute("SELECT photo FROM employee WHERE photo IS NOT NULL")}
        sync_directory(directory)
        self.photos.remove_all_but(named)

    def employees(self) -> list[Employee]:
        """Return everybody, by name."""
        with self._connection() as database:
            found = [_employee(*row) for row in database.execute(SELECT)]
        return sorted(found, key=lambda employee: (employee.profile.name.casefold(), employee.id))

    def employee(self, number: int) -> Employee:
        """Return one.

        Raises:
            NoSuchEmployee: There is none.
        """
        with self._connection() as database:
            row = database.execute(f"{SELECT} WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise NoSuchEmployee(number)
        return _employee(*row)

    def add(self, profile: Profile, photo: bytes | None) -> int:
        """Record a person and return the new id; durable once this returns. Raises as `Photos.keep`."""
        name = self.photos.keep(photo) if photo else None
        with self._connection() as database:
            number: int = database.execute(
                "INSERT INTO employee (name, job_title, location, email, badges, photo)"
                " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (*_values(profile), name),
            ).fetchone()[0]
        return number

    def change(self, number: int, profile: Profile, photo: bytes | None) -> None:
        """Replace a profile, and the photo if a new one is given.

        Raises:
            NoSuchEmployee: There is none; nothing is kept.
            PhotoTooLarge, NotAPhoto: As `Photos.keep`; nothing changed.
        """
        kept = self.photos.keep(photo) if photo else None
        with self._connection() as database, database:
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("SELECT photo FROM employee WHERE id = ?", (number,)).fetchone()
            if row is not None:
                database.execute(
                    "UPDATE employee SET (name, job_title, location, email, badges, photo)"
                    " = (?, ?, ?, ?, ?, coalesce(?, photo)) WHERE id = ?",
                    (*_values(profile), kept, number),
                )
        (replaced,) = row or (kept,)
        if kept and replaced:
            self.photos.remove(replaced)
        if row is None:
            raise NoSuchEmployee(number)

    def remove(self, number: int) -> None:
        """Remove a person with their photo.

        Raises:
            NoSuchEmployee: There is none.
        """
        with self._connection() as database:
            row = database.execute("DELETE FROM employee WHERE id = ? RETURNING photo", (number,)).fetchone()
        if row is None:
            raise NoSuchEmployee(number)
        if row[0]:
            self.photos.remove(row[0])

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection on which every statement is a transaction, unless one is begun."""
        with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as database:
            # Said, as builds may default to NORMAL, which in WAL mode loses acknowledged commits at a power
            # cut: an image of the running machine is such a cut.
            database.execute("PRAGMA synchronous = FULL")
            yield database


def _values(profile: Profile) -> tuple[str, ...]:
    return (profile.name, profile.job_title, profile.location, profile.email, json.dumps(profile.badges))


def _employee(number: int, *rest: str) -> Employee:
    name, job_title, location, email, badges, photo = rest
    return Employee(number, Profile(name, job_title, location, email, tuple(json.loads(badges))), photo)
