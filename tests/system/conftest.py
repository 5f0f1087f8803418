"""Fixtures of the system tests: a server over fake drivers, spoken to by boto3."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.server import RunningServer, server
from tests.system.shop import Shop
from tests.system.transfers import Bucket
from tests.system.wire import Wire

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


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server that tests share, each with accounts of its own."""
    with server(tmp_path_factory.mktemp("home") / "home") as started:
        yield started


@pytest.fixture(autouse=True)
def try_again(request: pytest.FixtureRequest) -> None:
    """Begin the second try of a test with accounts that have nothing of the first."""
    is_again = getattr(request.node, "execution_count", 1) > 1
    if is_again and "shared" in request.fixturenames:
        request.getfixturevalue("shared").begin_again(request.node.nodeid)


@pytest.fixture
def alice(shared: RunningServer, request: pytest.FixtureRequest) -> "EC2Client":
    """A boto3 client of a new account on the shared server."""
    return shared.ec2(f"alice of {request.node.nodeid}")


@pytest.fixture
def bob(shared: RunningServer, request: pytest.FixtureRequest) -> "EC2Client":
    """A boto3 client of another new account."""
    return shared.ec2(f"bob of {request.node.nodeid}")


@pytest.fixture
def carol(shared: RunningServer, request: pytest.FixtureRequest) -> "EC2Client":
    """A boto3 client of a third one."""
    return shared.ec2(f"carol of {request.node.nodeid}")


@pytest.fixture
def wire(shared: RunningServer, request: pytest.FixtureRequest) -> Wire:
    """Requests below boto3, of alice."""
    return Wire(shared, f"alice of {request.node.nodeid}")


@pytest.fixture
def shop(shared: RunningServer, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A new account with an image on the shared server."""
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(2 * 1024**3)
    return Shop(shared, request.node.nodeid, disk)


@pytest.fixture
def bucket(shared: RunningServer, request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket on the shared server."""
    return Bucket(shared, f"{request.node.nodeid}, try {getattr(request.node, 'execution_count', 1)}")


@pytest.fixture
def group_id(alice: "EC2Client") -> str:
    """A security group of alice, named `web`."""
    return alice.create_security_group(GroupName="web", Description="the web servers")["GroupId"]
