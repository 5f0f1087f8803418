"""Talking to qemu-guest-agent, when a guest runs it. Source: QEMU Guest Agent Protocol Reference."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bakehouse.drivers.hypervisor.qemu.monitor import Monitor
from bakehouse.drivers.hypervisor.qemu.run_directory import AGENT_SOCKET, RunDirectory

#: An agent that runs answers a greeting within milliseconds, under emulation some tens of them, on a busy host more.
#: Nobody waits for a guest without an agent: see `listens`.
GREETING_DEADLINE_S: Final = 5.0
#: Freezing writes the guest's dirty pages first. fsfreeze in a guest gives up no earlier.
FREEZE_DEADLINE_S: Final = 10.0
#: Setting the clock starts a program in the guest, which brings it to the hardware's too.
CLOCK_DEADLINE_S: Final = 10.0


async def listens(monitor: Monitor) -> bool:
    """Tell whether a program in the guest has the agent's port open."""
    ports = await monitor.execute("query-chardev")
    return any(port["label"] == "agent" and port["frontend-open"] for port in ports)


class AgentSilent(Exception):
    """No agent answered in time, or it refused."""


class GuestAgent:
    """One conversation. The port takes one client at a time, so conversations are short."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def call(self, command: str, *, deadline_s: float, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Send a command and return what the agent answers.

        Raises:
            AgentSilent: Nobody answered, or the answer was an error.
        """
        request = {"execute": command, "arguments": arguments}
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(json.dumps(request).encode() + b"\n")
                await self._writer.drain()
                answer = json.loads(await self._reader.readline() or b"{}")
        except (OSError, TimeoutError, ValueError) as err:
            raise AgentSilent(f"`{command}` was not answered") from err
        if "return" not in answer:
            raise AgentSilent(f"`{command}` was refused: {answer.get('error', {}).get('desc', 'no reason')}")
        return answer["return"]

    async def greet(self) -> None:
        """Make sure that an agent reads, and skip answers that an earlier conversation left behind.

        Only after this may a command be sent that changes something: what nobody reads now is read by an
        agent that starts later.

        Raises:
            AgentSilent: Nobody answered in time.
        """
        token = secrets.randbits(31)
        greeting = json.dumps({"execute": "guest-sync", "arguments": {"id": token}}).encode()
        try:
            async with asyncio.timeout(GREETING_DEADLINE_S):
                self._writer.write(greeting + b"\n")
                while line := await self._reader.readline():
                    if json.loads(line).get("return") == token:
                        return
        except (OSError, TimeoutError, ValueError) as err:
            raise AgentSilent("no agent answers") from err
        raise AgentSilent("the agent's port was closed")


@asynccontextmanager
async def conversation(run: RunDirectory) -> AsyncIterator[GuestAgent]:
    """Open a machine's agent port, greet the agent, and close the port at the end.

    Raises:
        AgentSilent: There is no port, or no agent behind it.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(sock=await run.connect(AGENT_SOCKET))
    except OSError as err:
        raise AgentSilent("there is no agent's port") from err
    try:
        agent = GuestAgent(reader, writer)
        await agent.greet()
        yield agent
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def set_clock(run: RunDirectory) -> None:
    """Let the agent of a machine set the guest's clock to ours.

    Raises:
        AgentSilent: It did not answer, or refused.
    """
    async with conversation(run) as agent:
        await agent.call("guest-set-time", deadline_s=CLOCK_DEADLINE_S, time=time.time_ns())


async def freeze(run: RunDirectory) -> bool:
    """Let the agent of a machine freeze its filesystems; False when it does not answer or refuses."""
    try:
        async with conversation(run) as agent:
            try:
                await agent.call("guest-fsfreeze-freeze", deadline_s=FREEZE_DEADLINE_S)
            except AgentSilent:
                # It may be half done, and a guest that stays frozen is worse than one that never was.
                await agent.call("guest-fsfreeze-thaw", deadline_s=FREEZE_DEADLINE_S)
                return False
            return True
    except AgentSilent:
        return False


async def thaw(run: RunDirectory) -> None:
    """Let the agent of a machine thaw its filesystems.

    Raises:
        AgentSilent: It did not answer: they may be frozen still.
    """
    async with conversation(run) as agent:
        await agent.call("guest-fsfreeze-thaw", deadline_s=FREEZE_DEADLINE_S)
