"""An agent's answers: each call has one, whatever becomes of it and however slow its server reads."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from bakehouse.drivers.network.linux import messages
from bakehouse.drivers.network.linux.agent import Agent
from bakehouse.drivers.network.linux.agent_client import AgentClient
from bakehouse.drivers.network.linux.agent_socket import connect, listen
from bakehouse.drivers.network.linux.segment import Segment
from bakehouse.ports.network import InterfaceSpec, NetworkUnavailable

#: More answers than a socket holds, each of some kilobytes.
_CALLS = 200


class _FullSegment:
    """Holds many interfaces, and fails in a way that nobody thought of."""

    is_described = True
    interface_ids = tuple(f"eni-{number * 0x9E3779B97F4A7C15 % (1 << 64):017x}" for number in range(300))
    unheld = ()

    async def plug(self, interface: InterfaceSpec) -> None:
        raise KeyError(interface.interface_id)


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """A segment's directory in which an agent serves."""
    listener = listen(tmp_path)
    agent = Agent(cast("Segment", _FullSegment()), listener, tmp_path)
    serving = asyncio.create_task(agent.serve())
    yield tmp_path
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await asyncio.gather(*agent._answering)
    listener.close()


async def _ask(connection: socket.socket) -> None:
    for number in range(_CALLS):
        while True:
            try:
                messages.send(connection, messages.Call(number, messages.Report()))
            except BlockingIOError:
                await asyncio.sleep(0)
            else:
                break
    for _ in range(4 * _CALLS):  # the agent reads one in each turn of the loop, and has answered it one or two later
        await asyncio.sleep(0)


async def test_a_server_that_is_slow_to_read_gets_every_answer(directory: Path) -> None:
    connection = connect(directory)
    answered: set[int] = set()

    async with asyncio.timeout(60):
        await _ask(connection)
        while len(answered) < _CALLS:
            try:
                received = messages.receive_answer(connection)
            except BlockingIOError:
                await asyncio.sleep(0)
            else:
                assert received is not None
                answered.add(received[0].number)

    connection.close()
    assert answered == set(range(_CALLS))


async def test_a_server_that_leaves_without_its_answers_holds_nobody_up(directory: Path) -> None:
    connection = connect(directory)
    await _ask(connection)
    connection.close()

    client = AgentClient(connect(directory))
    async with asyncio.timeout(60):
        report = await client.call(messages.Report())
    client.close()

    assert report.interface_ids == _FullSegment.interface_ids


async def test_a_failure_that_nobody_thought_of_is_answered(directory: Path) -> None:
    client = AgentClient(connect(directory))
    interface = InterfaceSpec(
        interface_id="eni-1",
        vpc_id="vpc-1",
        subnet_id="subnet-1",
        subnet_cidr="10.0.0.0/24",
        mac="02:00:00:00:00:01",
        private_ip="10.0.0.4",
        public_ip=None,
        group_ids=(),
        host_name="ip-10-0-0-4",
    )

    async with asyncio.timeout(60):
        with pytest.raises(NetworkUnavailable, match="eni-1"):
            await client.call(messages.Plug(interface))
    client.close()


async def test_an_agent_that_does_not_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    listener = listen(tmp_path)
    client = AgentClient(connect(tmp_path), timeout_s=0)

    async with asyncio.timeout(60):
        with pytest.raises(NetworkUnavailable, match="has not answered"):
            await client.call(messages.Report())
    client.close()
    listener.close()
