"""A real server in a process of its own, which a test may kill at any moment; it ends with the tests, too.

Processes come from a fork server that has imported the program, so that a start costs the server's own work and not
two seconds of imports. What runs in them is the command `bakehouse serve`, to the letter.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bakehouse.__main__ import main

_START_DEADLINE_S = 60
_CONTEXT = multiprocessing.get_context("forkserver")
#: What a server imports when it starts, some of it only then.
_CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "bakehouse.__main__",
        "bakehouse.bootstrap.server",
        "alembic.command",
        "alembic.context",
        "uvicorn.protocols.http.httptools_impl",
    ]
)

#: Written by `bakehouse serve` once it listens.
_LISTENS = "answers at http"

#: It asks the host's own resolver for nothing: who that is, and whom it asks, is not the test's business.
_QUIET = {"BAKEHOUSE_NAME_SERVER": "off"}


class ServerProcess:
    """One run of `bakehouse serve`."""

    def __init__(self, process: ForkServerProcess, log: Path, log_begin: int) -> None:
        self._process = process
        self._log = log
        self._log_begin = log_begin

    @classmethod
    def start(cls, home: Path, *arguments: str, environment: Mapping[str, str]) -> "ServerProcess":
        """Start one with its log in the home, appended to what is there. It does not answer yet."""
        log = home / "serve.log"
        log.touch()
        begin = log.stat().st_size
        process = _CONTEXT.Process(
            target=_serve, args=(home, log, arguments, {**os.environ, **_QUIET, **environment}), daemon=True
        )
        process.start()
        return cls(process, log, begin)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait_until_up(self) -> bool:
        """Wait until it serves; tell whether it does. False when it ended first, as with a crash while it resumes."""
        deadline = time.monotonic() + _START_DEADLINE_S
        while _LISTENS not in self.said():
            if not self._process.is_alive():
                return False
            assert time.monotonic() < deadline, f"the server does not start:\n{self.said()}"
            time.sleep(0.02)
        return True

    def wait_until_gone(self, timeout_s: float = 30) -> None:
        """Wait for its end."""
        self._process.join(timeout_s)
        assert not self._process.is_alive(), f"the server goes on:\n{self.said()}"

    def kill(self) -> None:
        """End it as `kill -9` does. Succeeds when it has ended already."""
        self._process.kill()
        self.wait_until_gone()

    def terminate(self) -> None:
        """End it as a service manager does: machines are left alone."""
        self._process.terminate()
        self.wait_until_gone()

    def said(self) -> str:
        """Return what it wrote."""
        with self._log.open(errors="replace") as file:
            file.seek(self._log_begin)
            return file.read()


def _serve(home: Path, log: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    os.setsid()
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.argv = ["bakehouse", "serve", f"--home={home}", *arguments]
    main()


def _end_with_the_tests() -> None:
    """End this server at once when the process that started it has ended, however: the fork server lives on then."""
    tests = multiprocessing.parent_process()
    assert tests is not None
    tests.join()
    os.kill(os.getpid(), signal.SIGKILL)
