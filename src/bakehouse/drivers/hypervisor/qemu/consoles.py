"""The consoles port by QEMU: serial lines, pictures of the screen, and the interrupt button."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from bakehouse.drivers.hypervisor.picture import jpeg_of
from bakehouse.drivers.hypervisor.qemu.machine import Machine
from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused
from bakehouse.drivers.hypervisor.qemu.serial_line import SerialLine, SerialViewer
from bakehouse.ports.consoles import MachineGone, NotEquipped
from bakehouse.ports.hypervisor import MonitorLost

#: Shift: a guest that has darkened its screen lightens it for any key, and this one types nothing.
_WAKING_KEY: Final = {"keys": [{"type": "qcode", "data": "shift"}], "hold-time": 50}
#: Time to lighten the screen. An emulated guest takes some tens of milliseconds.
_WAKING_S: Final = 0.3


class QemuConsoles:
    """Consoles of the machines that a hypervisor follows. Fulfils `Consoles`."""

    def __init__(self, live: Callable[[str], Awaitable[Machine | None]]) -> None:
        """Find machines by this function; None stands for one without a process."""
        self._live = live
        self._lines: WeakValueDictionary[str, SerialLine] = WeakValueDictionary()
        """Those that somebody watches."""

    async def open_serial(self, machine_id: str, *, position: int | None = None) -> SerialViewer:
        """Connect to a serial console; see the port."""
        machine = await self._machine(machine_id)
        line = self._lines.get(machine_id)
        if line is None or line.ended:
            line = self._lines[machine_id] = SerialLine(machine.run, partial(self._send_break, machine_id))
        return await line.open(position)

    async def screenshot(self, machine_id: str, *, wake_up: bool = False) -> bytes:
        """Return what the screen shows; see the port."""
        machine = await self._machine(machine_id)
        try:
            if wake_up:
                await machine.monitor.execute("send-key", _WAKING_KEY)
                await asyncio.sleep(_WAKING_S)
            return await asyncio.to_thread(jpeg_of, await _screen(machine))
        except CommandRefused as err:
            raise NotEquipped(f"{machine_id} has no screen") from err
        except MonitorLost as err:
            raise MachineGone(f"{machine_id} does not answer") from err

    async def interrupt(self, machine_id: str) -> None:
        """Send a non-maskable interrupt; see the port."""
        machine = await self._machine(machine_id)
        try:
            await machine.monitor.execute("inject-nmi")
        except CommandRefused as err:
            raise NotEquipped(f"{machine_id} has no non-maskable interrupt") from err
        except MonitorLost as err:
            raise MachineGone(f"{machine_id} does not answer") from err

    async def _send_break(self, machine_id: str) -> None:
        machine = await self._machine(machine_id)
        try:
            await machine.monitor.execute("chardev-send-break", {"id": "console"})
        except MonitorLost as err:
            raise MachineGone(f"{machine_id} does not answer") from err

    async def _machine(self, machine_id: str) -> Machine:
        try:
            machine = await self._live(machine_id)
        except MonitorLost as err:
            raise MachineGone(f"{machine_id} does not answer") from err
        if machine is None:
            raise MachineGone(f"{machine_id} is gone")
        return machine


async def _screen(machine: Machine) -> bytes:
    """Return a picture as QEMU draws it, in its own format. QEMU opens no file itself: it may be another user."""
    picture = os.memfd_create("screen", os.MFD_CLOEXEC)
    try:
        # QEMU opens for writing only, and takes a descriptor that is open just so.
        writing = os.open(f"/proc/self/fd/{picture}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            lent = await machine.monitor.lend(writing)
        finally:
            os.close(writing)
        try:
            await machine.monitor.execute("screendump", {"filename": f"/dev/fdset/{lent}"})
        finally:
            await machine.monitor.execute("remove-fd", {"fdset-id": lent})
        with os.fdopen(os.dup(picture), "rb") as file:
            file.seek(0)
            return file.read()
    finally:
        os.close(picture)
