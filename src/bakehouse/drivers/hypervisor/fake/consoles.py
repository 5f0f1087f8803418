"""The consoles port without machines: guests that repeat what is typed."""

import asyncio
from collections.abc import Callable
from typing import Final

from bakehouse.drivers.hypervisor.picture import jpeg_of_text
from bakehouse.drivers.hypervisor.scrollback import scrollback
from bakehouse.ports.consoles import MachineGone

#: Guests write from any thread, and tell nobody.
_POLL_S: Final = 0.01
_SCREEN_LINES: Final = 24


class FakeConsoles:
    """Consoles of simulated machines. Fulfils `Consoles`."""

    def __init__(
        self, live: Callable[[str], bool], written: Callable[[str], bytes], hear: Callable[[str, str], None]
    ) -> None:
        """Ask by these whether a machine is there and what it wrote; let its guest hear by the third."""
        self.live = live
        self.written = written
        self.hear = hear

    async def open_serial(self, machine_id: str, *, position: int | None = None) -> "FakeSerialConsole":
        """Connect to a serial console; see the port."""
        if not self.live(machine_id):
            raise MachineGone(f"{machine_id} is gone")
        written = self.written(machine_id)
        if position is None or position > len(written):
            position = len(written) - len(scrollback(written))
        return FakeSerialConsole(self, machine_id, position)

    async def screenshot(self, machine_id: str, *, wake_up: bool = False) -> bytes:  # noqa: ARG002 - it never sleeps
        """Return a picture of what the guest wrote last; see the port."""
        if not self.live(machine_id):
            raise MachineGone(f"{machine_id} is gone")
        lines = self.written(machine_id).decode(errors="replace").splitlines()
        return await asyncio.to_thread(jpeg_of_text, "\n".join(lines[-_SCREEN_LINES:]))

    async def interrupt(self, machine_id: str) -> None:
        """Send a non-maskable interrupt; see the port. The guest writes that one came."""
        if not self.live(machine_id):
            raise MachineGone(f"{machine_id} is gone")
        self.hear(machine_id, "\nNMI received\n")


class FakeSerialConsole:
    """One connection. Fulfils `SerialConsole`."""

    def __init__(self, consoles: FakeConsoles, machine_id: str, position: int) -> None:
        self._consoles = consoles
        self._machine_id = machine_id
        self.position = position

    async def read(self) -> bytes:
        """Return what comes next; see the port."""
        while True:
            live = self._consoles.live(self._machine_id)
            data = self._consoles.written(self._machine_id)[self.position :]
            if data or not live:
                self.position += len(data)
                return data
            await asyncio.sleep(_POLL_S)

    async def write(self, data: bytes) -> None:
        """Type; see the port. The guest repeats it."""
        if not self._consoles.live(self._machine_id):
            raise MachineGone(f"{self._machine_id} is gone")
        self._consoles.hear(self._machine_id, data.decode(errors="replace"))

    async def send_break(self) -> None:
        """Send a BREAK; see the port. The guest repeats the null byte that it reads."""
        await self.write(b"\0")

    async def close(self) -> None:
        """Hang up, which changes nothing."""
