"""Consoles of instances: the serial console both ways, and who may use it; the screen; the interrupt button.

An account's users reach a console over the API's port, where the account has enabled that. The host's owner, who asks
over the control socket, could read every machine's memory; for them there is no switch.
"""

from dataclasses import dataclass
from typing import Final

from bakehouse.app.account_settings import change_settings, settings_of
from bakehouse.app.context import AppContext, owned
from bakehouse.domain.caller import Caller
from bakehouse.domain.console import (
    WITH_SERIAL_CONSOLE,
    check_sysrq_key,
    no_diagnostic_interrupt,
    no_keyboard,
    no_screen,
    serial_console_disabled,
)
from bakehouse.domain.errors import not_found
from bakehouse.domain.instance import Instance, InstanceState, instance_must_be
from bakehouse.ports.consoles import MachineGone, NotEquipped, SerialConsole

#: Whose machines have neither a keyboard nor a non-maskable interrupt.
ARM: Final = "arm64"


@dataclass(frozen=True, slots=True)
class Consoles:
    """Use cases on consoles. Only running instances have one: IncorrectInstanceState."""

    _context: AppContext

    def serial_access(self, caller: Caller) -> bool:
        """Tell whether the caller's account may use serial consoles in the region."""
        return settings_of(self._context, caller.account_id, caller.region).serial_console_access

    async def set_serial_access(self, caller: Caller, *, enabled: bool) -> None:
        """Enable the account's serial consoles in the region, or disable them. Who is connected stays so."""
        await change_settings(self._context, caller, serial_console_access=enabled)

    async def connect(self, caller: Caller, instance_id: str) -> SerialConsole:
        """Connect the caller to an instance's serial console (SerialConsoleAccessDisabledException)."""
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if not self.serial_access(caller):
            raise serial_console_disabled()
        return await self._open(instance)

    async def connect_owner(self, instance_id: str, *, position: int | None = None) -> SerialConsole:
        """Connect the host's owner to any instance's serial console, where an earlier connection had got to."""
        return await self._open(self._instance(instance_id), position)

    async def screenshot(self, caller: Caller, instance_id: str, *, wake_up: bool) -> bytes:
        """Return what an instance's screen shows, as a JPEG; press a key before, if asked to (UnsupportedOperation)."""
        instance = self._running(caller, instance_id)
        if wake_up and instance.architecture == ARM:
            raise no_keyboard(instance.id)
        try:
            return await self._context.hypervisor.consoles.screenshot(instance.id, wake_up=wake_up)
        except MachineGone as err:
            raise instance_must_be(instance.id, "running") from err
        except NotEquipped as err:
            raise no_screen(instance.id) from err

    async def interrupt(self, caller: Caller, instance_id: str) -> None:
        """Send an instance a diagnostic interrupt; those of the ARM architecture have none (UnsupportedOperation)."""
        instance = self._running(caller, instance_id)
        if instance.architecture == ARM:
            raise no_diagnostic_interrupt(instance.id)
        try:
            await self._context.hypervisor.consoles.interrupt(instance.id)
        except MachineGone as err:
            raise instance_must_be(instance.id, "running") from err
        except NotEquipped as err:
            raise no_diagnostic_interrupt(instance.id) from err

    async def press_sysrq(self, instance_id: str, key: str) -> None:
        """Press SysRq and a key for the host's owner: a BREAK, then the key, on the serial console."""
        check_sysrq_key(key)
        instance = self._instance(instance_id)
        console = await self._open(instance)
        try:
            await console.send_break()
            await console.write(key.encode())
        except MachineGone as err:
            raise instance_must_be(instance.id, "running") from err
        finally:
            await console.close()

    async def _open(self, instance: Instance, position: int | None = None) -> SerialConsole:
        if instance.state not in WITH_SERIAL_CONSOLE:
            raise instance_must_be(instance.id, "running")
        try:
            return await self._context.hypervisor.consoles.open_serial(instance.id, position=position)
        except MachineGone as err:
            raise instance_must_be(instance.id, "running") from err

    def _running(self, caller: Caller, instance_id: str) -> Instance:
        (instance,) = owned(self._context.store.instances, caller, "instance", [instance_id])
        if instance.state is not InstanceState.RUNNING:
            raise instance_must_be(instance.id, "running")
        return instance

    def _instance(self, instance_id: str) -> Instance:
        instance = self._context.store.instances.get(instance_id)
        if instance is None:
            raise not_found("instance", [instance_id])
        return instance
