"""The consoles port: what stands on the desk of somebody who has the machine beside them.

A serial line, a screen with a keyboard, and the button for a non-maskable interrupt. It is a part of the hypervisor
(`Hypervisor.consoles`); nothing here changes what a machine is, so nothing here is a step of a saga.
"""

from typing import Protocol


class MachineGone(Exception):
    """There is no such machine now: it ended, or never was."""


class NotEquipped(Exception):
    """The machine has not got the device. The text says which; it changes with the machine's next start, or never."""


class SerialConsole(Protocol):
    """Somebody's connection to a machine's serial console, both ways. A machine has any number of them at once.

    All see the same and all may type. One that reads slowly holds up neither the guest nor the others.
    """

    @property
    def position(self) -> int:
        """How many bytes the machine had written before the next one that `read` returns."""
        ...

    async def read(self) -> bytes:
        """Return what the guest wrote next, waiting for it; nothing when the machine is gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Type. Waits while the guest does not read.

        Raises:
            MachineGone: It may or may not have read what was typed.
        """
        ...

    async def send_break(self) -> None:
        """Send a BREAK, which Linux takes as the SysRq key. Another guest reads a null byte.

        Raises:
            MachineGone: It is unknown whether the guest saw it.
        """
        ...

    async def close(self) -> None:
        """Hang up. The last call."""
        ...


class Consoles(Protocol):
    """Opens consoles of machines that run, also of those that an earlier server started."""

    async def open_serial(self, machine_id: str, *, position: int | None = None) -> SerialConsole:
        """Connect to a serial console.

        Args:
            machine_id: The instance's id.
            position: Where an earlier connection had got to. Without it, or where it is not known any more, reading
                begins with the last hundred lines.

        Raises:
            MachineGone: There is nothing to connect to.
        """
        ...

    async def screenshot(self, machine_id: str, *, wake_up: bool = False) -> bytes:
        """Return what the machine's screen shows now, as a JPEG.

        With `wake_up` a key that types nothing is pressed shortly before, for a guest that has darkened its screen.

        Raises:
            MachineGone: There is no screen to look at.
            NotEquipped: It has no screen, or no keyboard.
        """
        ...

    async def interrupt(self, machine_id: str) -> None:
        """Send a non-maskable interrupt to every processor of the machine.

        Raises:
            MachineGone: It is unknown whether it came.
            NotEquipped: The machine's processors have none.
        """
        ...
