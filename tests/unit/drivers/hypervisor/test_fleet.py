"""Looking at machines whose monitor is silent, over monitors of our own making."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bakehouse.drivers import process
from bakehouse.drivers.hypervisor.qemu import chains, fleet, monitor
from bakehouse.drivers.hypervisor.qemu.fleet import Fleet
from bakehouse.drivers.hypervisor.qemu.run_directory import MONITOR_SOCKET, LaunchRecord, RunDirectory
from bakehouse.ports.hypervisor import (
    MachineDisk,
    MachineSpec,
    MachineState,
    MachineStatus,
    MonitorLost,
)
from bakehouse.ports.volumes import VolumeConnection

MACHINE = "i-0123456789abcdef0"
VOLUME = "vol-0123456789abcdef0"
ANOTHER = "vol-0fedcba9876543210"
DEADLINE_S = 30


class FakeMonitor:
    """Answers as QEMU with one disk; what is asked while it is silent it answers when it speaks again."""

    def __init__(self) -> None:
        self.speaks = asyncio.Event()
        self.speaks.set()
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        version = {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""}
        await self._say(writer, {"QMP": {"version": version, "capabilities": []}})
        text = ""
        while piece := await reader.read(1 << 16):
            text += piece.decode()
            while text:  # the library ends no command, as QEMU does not ask it to
                request, end = json.JSONDecoder().raw_decode(text)
                text = text[end:].lstrip()
                # Its first command, which ends the greeting, has no id.
                named = {"id": request["id"]} if "id" in request else {}
                await self._say(writer, {"return": self._answer(request["execute"]), **named})
        writer.close()

    async def _say(self, writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
        await self.speaks.wait()
        writer.write(json.dumps(message).encode() + b"\r\n")

    def _answer(self, command: str) -> Any:
        match command:
            case "query-status":
                return {"status": "running"}
            case "query-block":
                inserted = {"node-name": f"{VOLUME}.0", "image": {"virtual-size": 1 << 30}}
                return [{"qdev": f"disk1-{VOLUME.replace('-', '')}", "inserted": inserted}]
            case "query-named-block-nodes" | "qom-list":
                return []
        return {}


@asynccontextmanager
async def machine() -> AsyncIterator[tuple[Fleet, FakeMonitor]]:
    """Give a fleet of one machine, which is this very process, and its monitor."""
    # pytest's own directories hold a user's name and the test's: longer than a socket's address may be.
    with tempfile.TemporaryDirectory(prefix="bh-") as short:
        run = RunDirectory(Path(short) / MACHINE)
        run.make()
        lock = run.take_lock()
        started = process.start_time(os.getpid())
        assert started is not None
        run.write_record(LaunchRecord(pid=os.getpid(), start_time=started, argv=("qemu",), spec=spec()))
        it, machines = FakeMonitor(), Fleet(Path(short))
        server = await asyncio.start_unix_server(it.serve, run.path / MONITOR_SOCKET)
        try:
            yield machines, it
        finally:
            it.speaks.set()
            await machines.close()
            server.close()
            os.close(lock)


def spec() -> MachineSpec:
    connection = VolumeConnection(driver="file", path="/nowhere", format="qcow2", size_bytes=1 << 30)
    disk = MachineDisk(volume_id=ANOTHER, connection=connection)
    return MachineSpec(
        machine_id=MACHINE,
        instance_type="t3.micro",
        architecture="x86_64",
        vcpus=1,
        memory_mib=512,
        disks=(disk,),
        interfaces=(),
        hardware_uuid="ec2a1b2c-0000-4000-8000-0123456789ab",
    )


async def seen(machines: Fleet, holds: Callable[[MachineStatus], bool]) -> MachineStatus:
    """Look until what is seen is so."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            (status,) = await machines.observe()
            if holds(status):
                return status


async def test_a_silent_machine_holds_what_it_held_and_a_look_at_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "ANSWER_DEADLINE_S", 20 * DEADLINE_S)
    async with machine() as (machines, its_monitor):
        before = await seen(machines, lambda status: status.answers)
        monkeypatch.setattr(fleet, "_LOOK_PATIENCE_S", 0.1)

        its_monitor.speaks.clear()
        async with asyncio.timeout(DEADLINE_S):
            (silent,) = await machines.observe()

    assert before.volume_ids == silent.volume_ids == {VOLUME}
    assert (silent.state, silent.answers) == (MachineState.RUNNING, False)


async def test_a_machine_that_speaks_again_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "ANSWER_DEADLINE_S", 20 * DEADLINE_S)
    async with machine() as (machines, its_monitor):
        await seen(machines, lambda status: status.answers)
        monkeypatch.setattr(fleet, "_LOOK_PATIENCE_S", 0.1)
        its_monitor.speaks.clear()
        await seen(machines, lambda status: not status.answers)

        monkeypatch.setattr(fleet, "_LOOK_PATIENCE_S", DEADLINE_S)
        its_monitor.speaks.set()

        assert (await seen(machines, lambda status: status.answers)).volume_ids == {VOLUME}


async def test_a_machine_that_never_greets_holds_what_it_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_LOOK_PATIENCE_S", 0.1)
    async with machine() as (machines, its_monitor):
        its_monitor.speaks.clear()

        async with asyncio.timeout(DEADLINE_S):
            (status,) = await machines.observe()

    assert (status.state, status.answers, status.volume_ids) == (MachineState.RUNNING, False, frozenset({ANOTHER}))


class Silent:
    disks_lock = asyncio.Lock()
    monitor = "silent"


class Speaking:
    disks_lock = asyncio.Lock()
    monitor = "speaking"


@pytest.mark.parametrize("has_it", [True, False])
async def test_a_chain_is_opened_anew_behind_a_silent_machine(*, has_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reopen(of: str, _below: object, *, flush: bool) -> bool:
        if of == "silent" or not flush:
            raise MonitorLost("it is silent")
        return has_it

    monkeypatch.setattr(chains, "reopen", reopen)
    machines: Any = [Silent(), Speaking()]
    below: Any = None

    if has_it:
        assert await chains.reopen_where_it_is(machines, below, flush=True)
    else:
        with pytest.raises(MonitorLost):  # the silent one may have it
            await chains.reopen_where_it_is(machines, below, flush=True)


async def test_a_machine_that_takes_long_to_start_does_not_hold_up_a_look_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "_LOOK_PATIENCE_S", 0.1)
    async with machine() as (machines, _), machines.lifecycle(MACHINE), asyncio.timeout(DEADLINE_S):
        (status,) = await machines.observe()

    assert (status.state, status.answers) == (MachineState.RUNNING, False)


async def test_a_monitor_that_was_closed_is_not_connected_to_again() -> None:
    async with machine() as (machines, its_monitor):
        await seen(machines, lambda status: status.answers)
        followed = machines.machines[MACHINE]
        await machines.close()

        with pytest.raises(MonitorLost, match="closed"):
            await followed.monitor.execute("query-status")

    assert its_monitor.connections == 1


async def test_nothing_is_kept_of_a_machine_that_nobody_changes() -> None:
    async with machine() as (machines, _):
        await machines.observe()
        await machines.close()

        assert not machines._lifecycles
