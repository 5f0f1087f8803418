"""Fixtures of the system tests: a server over fake drivers, spoken to by boto3."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.server import RunningServer, server
from tests.system.shop import Shop

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningServer]:
    """A running server; each test has its own."""
    with server(tmp_path / "home") as started:
        yield started


@pytest.fixture
def ec2(running: RunningServer) -> "EC2Client":
    """A boto3 client of the first account."""
    return running.ec2()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server; the tests of a file share it, each with its own account."""
    with server(tmp_path_factory.mktemp("home") / "home") as started:
        yield started


@pytest.fixture
def shop(shared: RunningServer, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A new account with an image on the shared server."""
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(2 * 1024**3)
    return Shop(shared, request.node.name, disk)
