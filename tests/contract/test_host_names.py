"""The name server for the programs of this host: a real dnsmasq on its loopback interface."""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.name_queries import AAAA, NAME_ERROR, NO_ERROR, REFUSED, A, ask
from tests.waiting import until

from bakehouse.bootstrap.drivers import make_drivers
from bakehouse.bootstrap.home import prepare_home
from bakehouse.bootstrap.server import running_server
from bakehouse.domain.public_names import public_name
from bakehouse.domain.public_pool import FIRST_ADDRESS, LAST_ADDRESS
from bakehouse.domain.region import REGIONS
from bakehouse.drivers.network.linux.host_names import LinuxHostNames
from bakehouse.settings import Settings

pytestmark = [pytest.mark.vm, pytest.mark.one_user]

IN_POOLS = st.integers(int(IPv4Address(FIRST_ADDRESS)), int(IPv4Address(LAST_ADDRESS))).map(
    lambda it: str(IPv4Address(it))
)

#: Runs in namespaces of its own, where nothing else is on port 53 and the resolver can be configured.
RESOLVING = Path(__file__).with_name("resolving_host.py")


_numbers = itertools.count(1)


def place() -> tuple[str, int]:
    """Return an address below all pools that no other test has, of this process or another, and a port."""
    return f"127.8.{os.getpid() >> 8 & 255}.{os.getpid() & 255}", 8753 + next(_numbers)


def names_at(where: tuple[str, int], folder: Path) -> LinuxHostNames:
    return LinuxHostNames(*where, log=folder / "names.log", unprivileged=os.geteuid() == 0)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address and port of a name server."""
    with asyncio.Runner() as runner:
        chosen = place()

        async def begin() -> LinuxHostNames:
            names = names_at(chosen, tmp_path_factory.mktemp("names"))
            status = await names.check()
            assert (status.serves, status.problem) == (True, "")
            return names

        names = runner.run(begin())
        yield chosen
        runner.run(names.close())


@settings(deadline=None, max_examples=50)
@given(IN_POOLS, st.sampled_from(sorted(REGIONS)), st.sampled_from([str.lower, str.upper]), st.data())
def test_every_public_name_is_its_address(
    where: tuple[str, int], address: str, region: str, spelt: Callable[[str], str], data: st.DataObject
) -> None:
    name = spelt(public_name(address, region))

    assert ask(where, name, A, tcp=data.draw(st.booleans())) == (NO_ERROR, [IPv4Address(address).packed])


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("ec2-127-16-0-10.compute-1.bakehouse.internal", AAAA, NO_ERROR),
        ("ec2-127-0-0-1.compute-1.bakehouse.internal", A, NAME_ERROR),
        ("ec2-10-0-0-1.compute-1.bakehouse.internal", A, NAME_ERROR),
        ("ec2-127-16-0-10.us-east-1.compute.bakehouse.internal", A, NAME_ERROR),
        ("bakehouse.internal", A, NAME_ERROR),
        ("localhost", A, REFUSED),
        ("example.com", A, REFUSED),
    ],
)
def test_what_is_no_public_name_has_no_address(where: tuple[str, int], name: str, kind: int, code: int) -> None:
    assert ask(where, name, kind) == (code, [])


async def test_servers_beside_each_other_stand_in_for_one_another(tmp_path: Path) -> None:
    shared = place()
    first, second = names_at(shared, tmp_path), names_at(shared, tmp_path)

    assert (await first.check()).serves
    told = await second.check()
    assert not told.serves
    assert "another" in told.problem
    await first.close()
    async with asyncio.timeout(60):
        while not (await second.check()).serves:
            pass
    await second.close()


async def test_a_server_answers_from_its_start_to_its_end(tmp_path: Path) -> None:
    prepare_home(tmp_path)
    address, port = place()
    settings = Settings(simulate=True)
    drivers = replace(make_drivers(tmp_path, settings), names=names_at((address, port), tmp_path))

    async with running_server(tmp_path, settings, drivers=drivers):
        await until(lambda: not _is_free(address, port))

    await until(lambda: _is_free(address, port))


async def test_an_address_that_is_not_ours_is_said(tmp_path: Path) -> None:
    names = LinuxHostNames("192.0.2.1", 8753, log=tmp_path / "names.log", unprivileged=False)

    status = await names.check()

    assert not status.serves
    assert "cannot listen" in status.problem


async def test_a_server_that_is_killed_leaves_no_name_server(tmp_path: Path) -> None:
    address, port = place()
    program = (
        "import asyncio, os, pathlib, sys\n"
        "from bakehouse.drivers.network.linux.host_names import LinuxHostNames\n"
        "async def main():\n"
        f"    log = pathlib.Path({str(tmp_path / 'names.log')!r})\n"
        f"    names = LinuxHostNames({address!r}, {port}, log=log, unprivileged=os.geteuid() == 0)\n"
        "    assert (await names.check()).serves\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )

    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", program)

    assert await ended.wait() == -9
    await until(lambda: _is_free(address, port))


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        return trial.connect_ex((address, port)) != 0


def test_a_host_whose_resolver_asks_the_name_server_resolves_public_names(tmp_path: Path) -> None:
    unshare = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]

    told = subprocess.run(
        [*unshare, sys.executable, str(RESOLVING), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert told.stdout == "False True 127.20.3.4 False\n", told
