"""What becomes of a network when the server or its agent is killed: nothing, for the guests in it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.network_world import (
    EVERYBODY,
    INTERFACE,
    INTERNET,
    REAL_MODES,
    SEGMENT,
    WEB,
    World,
    accept_one,
    group,
    interface,
    tcp,
    world,
)

from bakehouse.domain.public_pool import public_pool
from bakehouse.drivers import process
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric
from bakehouse.drivers.network.linux.host import Mode
from bakehouse.ports.network import AddressSpec, RouteSpec, SubnetSpec

METADATA = "169.254.169.254"
OPEN = group("sg-0000000000000000d", tcp(22, cidr=EVERYBODY))

#: A server that makes a network and then does nothing until it is killed.
SERVER = """
import asyncio, sys
from pathlib import Path
from tests.contract.network_world import SEGMENT, WEB, interface
from bakehouse.drivers.network.linux.fabric import LinuxNetworkFabric

async def serve():
    home = Path(sys.argv[1])
    fabric = LinuxNetworkFabric(home, mode=sys.argv[2])
    await fabric.ensure_segment(SEGMENT)
    await fabric.apply_group(WEB)
    for number in (10, 11):
        await fabric.plug(interface(number, WEB.group_id, home=home))
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.fixture(params=REAL_MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    chosen: Mode = request.param
    return chosen


@pytest.fixture
async def net(mode: Mode, tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, mode) as made:
        yield made


async def test_a_killed_server_leaves_the_network_and_the_next_one_has_it(tmp_path: Path, mode: Mode) -> None:
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(tmp_path), mode), stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(20):
        assert await server.stdout.readline() == b"ready\n"
    async with world(tmp_path, mode) as net:
        server.kill()
        await server.wait()

        specs = [interface(number, WEB.group_id, home=tmp_path) for number in (10, 11)]
        guests = [await net.bare_guest(spec) for spec in specs]
        leases = [(await guest.ask("dhcp"))["address"] for guest in guests]
        found = await net.fabric.observe()

    assert leases == ["172.31.0.10", "172.31.0.11"]
    assert found.interface_ids == {spec.interface_id for spec in specs}


async def test_a_new_server_forwards_again(net: World) -> None:
    spec = interface(10, WEB.group_id, home=net.home)
    guest = await net.guest(spec)
    await guest.ask("listen", port=8080)
    await net.fabric.close()

    net.fabric = LinuxNetworkFabric(net.home, mode=net.mode)
    await net.fabric.ensure_segment(SEGMENT)
    await net.fabric.apply_group(WEB)
    await net.fabric.plug(spec)

    assert await net.is_open_to_host(spec, 8080)
    await net.fabric.close()


async def test_guests_talk_while_no_server_runs(net: World) -> None:
    await net.fabric.apply_group(OPEN)
    one = await net.guest(interface(10, WEB.group_id))
    await net.guest(interface(11, OPEN.group_id))

    await net.fabric.close()

    assert await one.ask("connect", ip="172.31.0.11", port=22) == "refused"


async def test_a_question_for_metadata_waits_for_the_next_server(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id))
    (await net.fabric.metadata_socket(SEGMENT.vpc_id)).close()
    await net.fabric.close()
    connected = await guest.ask("connect", ip=METADATA, port=80)

    with await net.fabric.metadata_socket(SEGMENT.vpc_id) as listening:
        connection, (peer, _port) = listening.accept()
        connection.close()

    assert (connected, peer) == ("open", "172.31.0.10")


async def test_a_killed_agent_leaves_the_network_to_its_guests(net: World) -> None:
    await net.fabric.apply_group(OPEN)
    one = await net.guest(interface(10, WEB.group_id))
    await net.guest(interface(11, OPEN.group_id))

    await _kill_agent(net)

    assert await one.ask("connect", ip="172.31.0.11", port=22) == "refused"
    assert (await net.fabric.observe()).vpc_ids == {SEGMENT.vpc_id}


async def test_a_killed_agent_is_replaced_and_told_everything(net: World) -> None:
    await net.fabric.apply_group(OPEN)
    old_spec = interface(10, OPEN.group_id, home=net.home)
    old = await net.guest(old_spec)
    await old.ask("listen", port=22)
    with await net.fabric.metadata_socket(SEGMENT.vpc_id) as listening:
        await _kill_agent(net)

        new = await net.guest(interface(11, WEB.group_id))

        assert await new.ask("fetch", ip="172.31.0.10", port=22) == "172.31.0.11 6"
        assert await new.ask("resolve", server="172.31.0.2", name="instance-data.ec2.internal") == METADATA
        assert await net.is_open_to_host(old_spec, 22)
        asked, _peer = await asyncio.gather(old.ask("fetch", ip=METADATA, port=80), accept_one(listening))
        assert asked == "you are 172.31.0.10"


async def test_killed_helpers_are_replaced_at_the_next_plug(net: World) -> None:
    old = await net.guest(interface(10, WEB.group_id))
    helpers = [pid for program in ("dnsmasq", "slirp4netns") for pid in await _programs(net, program)]
    for pid in helpers:
        await _kill(pid)

    spec = interface(11, WEB.group_id)
    await net.fabric.plug(spec)
    new = await net.bare_guest(spec)

    assert (await new.ask("dhcp"))["address"] == "172.31.0.11"
    assert await old.ask("resolve", server="172.31.0.2", name="instance-data.ec2.internal") == METADATA
    assert len(helpers) == 2
    assert len(await _programs(net, "slirp4netns")) == 1


async def test_all_is_there_again_when_everything_of_a_segment_was_killed(net: World) -> None:
    """As after a reboot: agent, dnsmasq and slirp4netns are gone, and the namespace with them."""
    hole = RouteSpec(destination="100.127.0.1/32", target="blackhole")
    closed = SubnetSpec(subnet_id="subnet-closed", cidr="172.31.16.0/20", routes=(INTERNET, hole))
    vpc = replace(SEGMENT, subnets=(*SEGMENT.subnets, closed), extra_cidrs=("10.77.0.0/16",))
    await net.fabric.ensure_segment(vpc)
    further = AddressSpec(private_ip="172.31.0.110", public_ip=str(public_pool(net.home)[110]))
    spec = interface(10, WEB.group_id, home=net.home, secondary_ips=(further,))
    shut = {"subnet_id": closed.subnet_id, "subnet_cidr": closed.cidr, "private_ip": "172.31.16.11"}
    shut_spec = interface(11, WEB.group_id, home=net.home, **shut)
    for plugged in (spec, shut_spec):
        await net.fabric.plug(plugged)
    programs = [pid for name in ("dnsmasq", "slirp4netns") for pid in await _programs(net, name)]
    for pid in (*programs, await _agent_pid(net)):
        await _kill(pid)
    assert (await net.fabric.observe()).vpc_ids == frozenset()

    await net.fabric.ensure_segment(vpc)
    for plugged in (spec, shut_spec):
        guest = await net.guest(plugged)
        await guest.ask("second_address", ip="172.31.0.110", prefix=20)
        await guest.ask("listen", port=8080)

    assert await net.is_open_to_host(spec, 8080)
    assert await net.is_open_to_host(replace(spec, public_ip=further.public_ip), 8080)
    assert not await net.is_open_to_host(shut_spec, 8080)


async def test_an_interface_is_held_while_a_machine_has_it_open(net: World) -> None:
    spec = interface(10, WEB.group_id)
    await net.fabric.plug(spec)
    before = (await net.fabric.observe()).unheld
    guest = await net.bare_guest(spec)
    held = (await net.fabric.observe()).unheld
    await _kill_agent(net)
    await net.fabric.ensure_segment(SEGMENT)
    with_another_agent = await net.fabric.observe()
    await guest.stop()

    assert before == {spec.interface_id}
    assert held == frozenset()
    assert with_another_agent.interface_ids == {spec.interface_id}
    assert with_another_agent.unheld == frozenset()
    assert (await net.fabric.observe()).unheld == {spec.interface_id}


async def test_an_interface_is_held_by_nobody_once_its_network_was_made_again(net: World) -> None:
    spec = interface(10, WEB.group_id)
    await net.guest(spec)
    for pid in (*await _programs(net, "dnsmasq"), await _agent_pid(net)):
        await _kill(pid)

    await net.fabric.ensure_segment(SEGMENT)

    found = await net.fabric.observe()
    assert found.interface_ids == {spec.interface_id}
    assert found.unheld == {spec.interface_id}


async def test_a_segment_told_again_what_it_is_replaces_killed_helpers(net: World) -> None:
    guest = await net.guest(interface(10, WEB.group_id))
    for program in ("dnsmasq", "slirp4netns"):
        for pid in await _programs(net, program):
            await _kill(pid)

    await net.fabric.ensure_segment(SEGMENT)

    assert await guest.ask("resolve", server="172.31.0.2", name="instance-data.ec2.internal") == METADATA
    assert [len(await _programs(net, program)) for program in ("dnsmasq", "slirp4netns")] == [1, 1]


async def test_a_dead_agents_segment_is_deleted_whole(net: World) -> None:
    await net.fabric.plug(interface(10, WEB.group_id, home=net.home))
    await _kill_agent(net)

    await net.fabric.delete_segment(SEGMENT.vpc_id)

    assert (await net.fabric.observe()).vpc_ids == frozenset()
    assert not (net.home / "segments" / SEGMENT.vpc_id).exists()
    links = await process.run(["ip", "-oneline", "link"])
    assert net.layout.host_interface not in links.text


async def test_the_agents_socket_is_ours_alone(net: World) -> None:
    assert (net.layout.directory / "agent.sock").stat().st_mode & 0o777 == 0o600
    assert net.layout.directory.stat().st_mode & 0o777 == 0o700


async def test_a_home_may_have_a_long_path(tmp_path: Path, mode: Mode) -> None:
    home = tmp_path / ("long" * 25) / ("path" * 25)
    home.mkdir(parents=True)

    async with world(home, mode) as net:
        assert (await net.fabric.observe()).vpc_ids == {SEGMENT.vpc_id}


async def test_what_cannot_be_leaves_nothing_behind(tmp_path: Path, mode: Mode) -> None:
    fabric = LinuxNetworkFabric(tmp_path, mode=mode, tun_device=Path("/dev/null"))
    await fabric.ensure_segment(SEGMENT)
    try:
        with pytest.raises(Exception, match="/dev/null"):
            await fabric.plug(INTERFACE)

        assert (await fabric.observe()).interface_ids == frozenset()
    finally:
        await fabric.delete_segment(SEGMENT.vpc_id)


async def _agent_pid(net: World) -> int:
    report = await net.fabric._segment(SEGMENT.vpc_id).report()
    assert report is not None
    return report.pid


async def _kill_agent(net: World) -> None:
    await _kill(await _agent_pid(net))


async def _kill(pid: int) -> None:
    started = process.start_time(pid)
    assert started is not None
    os.kill(pid, signal.SIGKILL)
    assert await process.wait_until_gone(pid, started, timeout_s=10)


async def _programs(net: World, name: str) -> list[int]:
    """Return the pids of a segment's helper programs: their command lines name its directory or its agent."""
    agent = await _agent_pid(net)
    directories = (f"{net.layout.directory}/", f"{net.layout.shared_directory}/")
    marks = (*directories, f"/proc/{agent}/", f" {agent} ext0")
    listed = await process.run(["pgrep", "-a", "-x", name], check=False)
    return [int(line.split()[0]) for line in listed.text.splitlines() if any(mark in line for mark in marks)]
