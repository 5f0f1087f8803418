"""What holds for all tests."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import PoolProxiedConnection
from tests.postgresql import Postgresql, programs, running_postgresql

from bakehouse.drivers.network.linux.host import allow_open_files
from bakehouse.store.database import Database

# An invariant that broke says what it found.
pytest.register_assert_rewrite("tests.soundness", "tests.vm.wholeness")

# A build server tells what a change broke, so its guesses are the same each time; at a desk every run looks elsewhere.
_SAME_EACH_TIME = "CI" in os.environ

# How long one example takes says more about the machine's other work than about the code; pytest's timeout remains.
settings.register_profile("bakehouse", deadline=None, derandomize=_SAME_EACH_TIME)
# What `script/check` makes of each search: a fifth of what `script/test` does.
settings.register_profile("quick", deadline=None, derandomize=_SAME_EACH_TIME, max_examples=20)
# What `script/test` runs of what is worth it: twenty times as much, and forty times with `--long`.
settings.register_profile("thorough", deadline=None, derandomize=_SAME_EACH_TIME, max_examples=2000)
settings.register_profile("exhaustive", deadline=None, derandomize=_SAME_EACH_TIME, max_examples=4000)
settings.load_profile("bakehouse")

_ALLOCATIONS_PER_COLLECTION = 50_000


def _leave_commits_to_the_host() -> None:
    """Let databases of this process not wait for the disk: that takes most of a commit, and no test cuts the power."""
    connect = Database._connect

    def connect_unflushed(self: Database) -> PoolProxiedConnection:
        connection = connect(self)
        if not self._is_postgresql:
            connection.cursor().execute("PRAGMA synchronous=OFF")
        return connection

    Database._connect = connect_unflushed  # type: ignore[method-assign]


_leave_commits_to_the_host()
# As a server of machines does: the one that tests share has a socket for each of their hundreds of VPCs.
allow_open_files()
# Next to all that is made until the tests are found stays: looking for garbage in it takes a fourth of that time.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what lives as long as the run: modules, and ten thousand tests.

    Going through all of it again and again takes an eighth of the time of the tests.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION, 10, 10)
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured, also by tests that ran in another process."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, sentence in report.user_properties:
            if name == "measured" and report.when == "call":
                terminalreporter.write_line(f"measured: {sentence}")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """PostgreSQL, where the host has it."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with running_postgresql(found) as cluster:
        yield cluster
