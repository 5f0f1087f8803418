"""The QMP connection to one machine: the only module that knows qemu.qmp."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError, Runstate

from bakehouse.drivers.hypervisor.qemu.run_directory import MONITOR_SOCKET, RunDirectory
from bakehouse.ports.hypervisor import MonitorLost

#: The events that tell of a change which we follow. QEMU has many more, and the library keeps those it hears.
EVENTS: Final = frozenset({"SHUTDOWN", "STOP", "RESUME", "RESET", "GUEST_PANICKED", "DEVICE_DELETED"})

#: Time for an answer. The commands we use take milliseconds; a disk that hangs takes QEMU's main loop with it.
ANSWER_DEADLINE_S: Final = 30.0


class CommandRefused(Exception):
    """QEMU understood a command and refused it. Nothing changed."""


class Monitor:
    """One connection, kept open for the events, opened again when it was lost."""

    def __init__(self, run: RunDirectory, on_event: Callable[[str], None]) -> None:
        """Make a monitor that is not connected yet; `on_event` gets the names of events in `EVENTS`."""
        self._run = run
        self._on_event = on_event
        self._client: QMPClient | None = None
        self._events: asyncio.Task[None] | None = None
        self._disconnecting: asyncio.Task[None] | None = None
        self._closed = False
        self._connecting = asyncio.Lock()
        self._lending = asyncio.Lock()

    async def connect(self, *, deadline_s: float) -> None:
        """Connect, if there is no connection, and return once the monitor has answered.

        Raises:
            MonitorLost: Nobody answered in time, or it was closed.
        """
        async with self._connecting:
            if self._client is not None and self._client.runstate is Runstate.RUNNING:
                return
            if self._closed:
                raise MonitorLost(f"the monitor of {self._run.machine_id} was closed")
            await self._drop()
            client = QMPClient(self._run.machine_id)
            client.events.names.update(EVENTS)
            try:
                async with asyncio.timeout(deadline_s):
                    await client.connect(await self._run.connect(MONITOR_SOCKET))
            except (OSError, ConnectError, TimeoutError) as err:
                raise MonitorLost(f"the monitor of {self._run.machine_id} does not answer") from err
            self._client = client
            self._events = asyncio.create_task(self._forward_events(client))

    async def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Run a QMP command and return its answer.

        Raises:
            CommandRefused: QEMU said no; its reason is the text.
            MonitorLost: Whether the command was carried out is unknown.
        """
        await self.connect(deadline_s=ANSWER_DEADLINE_S)
        client = self._client
        if client is None:
            raise MonitorLost(f"the monitor of {self._run.machine_id} was closed")
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                return await client.execute(command, arguments)
        except ExecuteError as err:
            raise CommandRefused(f"{self._run.machine_id} refused `{command}`: {err}") from err
        except (QMPError, OSError, TimeoutError) as err:
            raise MonitorLost(f"{self._run.machine_id} did not answer `{command}`") from err

    async def lend(self, descriptor: int) -> int:
        """Give QEMU a copy of a descriptor, and return the number of the set by which it opens it.

        It keeps the copy until `remove-fd`.

        Raises:
            CommandRefused: QEMU did not take it.
            MonitorLost: Whether it did is unknown.
        """
        # The next command that takes a descriptor takes this one.
        async with self._lending:
            await self._send(descriptor)
            number: int = (await self.execute("add-fd"))["fdset-id"]
            return number

    async def give(self, descriptor: int, name: str) -> None:
        """Give QEMU a copy of a descriptor under a name, for the command that takes it by that or for `closefd`.

        Raises:
            CommandRefused: QEMU did not take it.
            MonitorLost: Whether it did is unknown.
        """
        async with self._lending:
            await self._send(descriptor)
            await self.execute("getfd", {"fdname": name})

    async def close(self) -> None:
        """Disconnect, for good: a command that comes later finds nobody. The machine runs on."""
        self._closed = True
        async with self._connecting:
            await self._drop()

    async def _send(self, descriptor: int) -> None:
        await self.connect(deadline_s=ANSWER_DEADLINE_S)
        if self._client is None:
            raise MonitorLost(f"the monitor of {self._run.machine_id} was closed")
        try:
            self._client.send_fd_scm(descriptor)
        except (QMPError, OSError) as err:
            raise MonitorLost(f"{self._run.machine_id} does not take a descriptor") from err

    async def _drop(self) -> None:
        if self._events is not None:
            self._events.cancel()
            self._events = None
        if self._client is not None:
            client, self._client = self._client, None
            self._disconnecting = asyncio.create_task(_disconnect(client))
            # Cut short, the library would leave its own tasks behind.
            await asyncio.shield(self._disconnecting)

    async def _forward_events(self, client: QMPClient) -> None:
        async for event in client.events:
            self._on_event(str(event["event"]))


async def _disconnect(client: QMPClient) -> None:
    # Of a connection that broke, `disconnect` raises what broke it.
    with suppress(QMPError, OSError, EOFError):
        await client.disconnect()
