"""A PostgreSQL of the test's own: in a temporary folder, by an ordinary user, on a socket, unflushed."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import psycopg

_DEADLINE_S: Final = 60
_USER: Final = "bakehouse"

#: Nothing here outlives the test, so nothing waits for the disk; and it is small.
_SETTINGS: Final = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "20",
    "shared_buffers": "16MB",
}


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian keeps out of PATH; None where it is not installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    return max(found, default=None, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0)


class Postgresql:
    """A cluster of databases."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._numbers = count(1)
        # It refuses to run as root.
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as_user = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", "--auth=trust", f"--username={_USER}", "--encoding=UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers. Only by the main thread: it ends with the thread that started it."""
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        log = self._folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command("postgres", f"--unix_socket_directories={self._folder}", *options),
                cwd=self._folder,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.01)
            else:
                return

    def start_again(self) -> None:
        """Start it if a test that failed has left it stopped."""
        if self._process.poll() is not None:
            self.start()

    def stop(self, signal_number: int = signal.SIGINT) -> None:
        """End it and all its connections: in order, or by SIGQUIT as in a crash."""
        self._process.send_signal(signal_number)
        self._process.wait(timeout=_DEADLINE_S)

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Execute statements, each by itself, and return the rows of the last."""
        with psycopg.connect(self._conninfo(database), autocommit=True) as connection:
            rows: list[Any] = []
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
            return rows

    def make_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"made{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        return f"postgresql://{_USER}@/{database}?host={self._folder}"

    def _conninfo(self, database: str) -> str:
        return f"host={self._folder} user={_USER} dbname={database}"

    def _command(self, program: str, *arguments: str) -> list[str]:
        # A test run that is killed takes it along.
        starter = ["setpriv", *self._as_user, "--pdeathsig=KILL", "--"]
        return [*starter, str(self._programs / program), "-D", str(self._folder / "data"), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), cwd=self._folder, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def running_postgresql(programs: Path) -> Iterator[Postgresql]:
    """Give a cluster for as long as the block lasts."""
    # A socket's address holds 107 bytes, so its folder is not below pytest's.
    folder = Path(mkdtemp(prefix="bakehouse-pg-", dir="/tmp"))
    try:
        cluster = Postgresql(folder, programs)
        try:
            yield cluster
        finally:
            cluster.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)
