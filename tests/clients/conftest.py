"""Fixtures of the tests with real clients: a simulating server, a real one, and a client of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients.client import Client
from tests.clients.terraform.stack import Stack
from tests.server import RunningServer, server
from tests.system.shop import Shop
from tests.vm.host import Host, running_host


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that boots nothing, shared by all tests here; each has an account of its own."""
    with server(tmp_path_factory.mktemp("home") / "home") as started:
        yield started


@pytest.fixture
def shop(simulated: RunningServer, request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    """A new account with an image, whose disk is 1 GiB of nothing; a test's second try has another one."""
    simulated.begin_again(request.node.nodeid)
    disk = tmp_path / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(2**30)
    return Shop(simulated, request.node.nodeid, disk)


@pytest.fixture
def client(shop: Shop, tmp_path: Path) -> Client:
    """A client of that account."""
    folder = tmp_path / "client"
    folder.mkdir()
    return Client.of_account(shop.running, shop.name, folder)


@pytest.fixture
def stack(shop: Shop) -> Stack:
    """An empty configuration of Terraform."""
    return Stack(shop)


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """A server with real machines, shared by all tests that log in."""
    with running_host() as made:
        yield made


@pytest.fixture
def real_client(host: Host, tmp_path: Path) -> Iterator[Client]:
    """A client of the real server; all its machines end with the test."""
    yield Client.of_home(host.home, tmp_path)
    host.clear()
