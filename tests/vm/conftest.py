"""Fixtures of the tests with real machines: a real server, and what is kept of it when a test fails."""

import tempfile
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vm.host import Host, keep_evidence, running, running_host

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture(scope="session")
def session_host() -> Iterator[Host]:
    """A real server for all tests of a run."""
    with running_host() as host:
        yield host


@pytest.fixture(scope="module")
def host(session_host: Host) -> Iterator[Host]:
    """The server, with no instances of other modules."""
    yield session_host
    session_host.clear()


@pytest.fixture
def ec2(host: Host) -> "EC2Client":
    """A boto3 client of the server."""
    return host.ec2


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Make a directory that every user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Take a sentence with a measured figure, to be shown when all tests have run."""
    return partial(record_property, "measured")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what tells why a test failed, and name the place in its report."""
    report = yield
    # A fixture that failed is not among the test's arguments; the host that it needed runs all the same.
    used = getattr(item, "funcargs", {}).get("host", running[-1] if running else None)
    if report.failed and "host" in getattr(item, "fixturenames", ()) and isinstance(used, Host):
        place = Path(tempfile.mkdtemp(prefix="bakehouse-failed-", dir="/var/tmp"))
        keep_evidence(used.home, place)
        report.sections.append(("What the server and its machines wrote", f"kept in {place}"))
    return report
