"""The consoles port by QEMU: serial lines."""

from collections.abc import Awaitable, Callable
from functools import partial

from bakehouse.drivers.hypervisor.qemu.machine import Machine
from bakehouse.drivers.hypervisor.qemu.serial_line import SerialLine, SerialViewer
from bakehouse.ports.consoles import MachineGone
from bakehouse.ports.hypervisor import MonitorLost


class QemuConsoles:
    """Consoles of the machines that a hypervisor follows. Fulfils `Consoles`."""

    def __init__(self, live: Callable[[str], Awaitable[Machine | None]]) -> None:
        """Find machines by this function; None stands for one without a process."""
        self._live = live
        self._lines: dict[str, SerialLine] = {}

    async def open_serial(self, machine_id: str, *, position: int | None = None) -> SerialViewer:
        """Connect to a serial console; see the port."""
        machine = await self._machine(machine_id)
        line = self._lines.get(machine_id)
        if line is None or line.ended:
            line = self._lines[machine_id] = SerialLine(machine.run, partial(self._send_break, machine_id))
        return await line.open(position)

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
