import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bakehouse.drivers.hypervisor.qemu import guest_agent
from bakehouse.drivers.hypervisor.qemu.guest_agent import AgentSilent, conversation
from bakehouse.drivers.hypervisor.qemu.run_directory import AGENT_SOCKET, RunDirectory

Answers = Callable[[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture
def run() -> Iterator[RunDirectory]:
    # pytest's own directories hold a user's name and the test's: longer than a socket's address may be.
    with tempfile.TemporaryDirectory(prefix="bh-") as short:
        made = RunDirectory(Path(short) / "i-0123456789abcdef0")
        made.make()
        yield made


@asynccontextmanager
async def agent(run: RunDirectory, answers: Answers) -> AsyncIterator[list[str]]:
    """Answer as a guest's agent; yield the commands that came."""
    heard: list[str] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = json.loads(line)
            heard.append(request["execute"])
            for answer in answers(request):
                writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_unix_server(serve, run.path / AGENT_SOCKET)
    async with server:
        yield heard
        await ended.wait()


def well_behaved(request: dict[str, Any]) -> list[dict[str, Any]]:
    if request["execute"] == "guest-sync":
        return [{"return": request["arguments"]["id"]}]
    return [{"return": 3}]


def with_a_stale_answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    if request["execute"] == "guest-sync":
        return [{"return": 17}, {"return": request["arguments"]["id"]}]
    return [{"return": 3}]


def refusing(request: dict[str, Any]) -> list[dict[str, Any]]:
    if request["execute"] == "guest-sync":
        return [{"return": request["arguments"]["id"]}]
    return [{"error": {"class": "GenericError", "desc": "fsfreeze hook has failed"}}]


async def test_an_agent_answers(run: RunDirectory) -> None:
    async with agent(run, well_behaved), conversation(run) as it:
        assert await it.call("guest-fsfreeze-freeze", deadline_s=30) == 3


async def test_an_answer_left_over_from_before_is_skipped(run: RunDirectory) -> None:
    async with agent(run, with_a_stale_answer), conversation(run) as it:
        assert await it.call("guest-fsfreeze-freeze", deadline_s=30) == 3


async def test_a_refusal_carries_the_agents_reason(run: RunDirectory) -> None:
    async with agent(run, refusing), conversation(run) as it:
        with pytest.raises(AgentSilent, match="hook has failed"):
            await it.call("guest-fsfreeze-freeze", deadline_s=30)


async def test_a_silent_port_hears_the_greeting_and_nothing_else(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_agent, "GREETING_DEADLINE_S", 0.05)

    async with agent(run, lambda _: []) as heard:
        with pytest.raises(AgentSilent):
            async with conversation(run) as it:
                await it.call("guest-fsfreeze-freeze", deadline_s=30)

    assert heard == ["guest-sync"]


async def test_a_machine_without_a_port_has_no_agent(run: RunDirectory) -> None:
    with pytest.raises(AgentSilent):
        async with conversation(run):
            pass
