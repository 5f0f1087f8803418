"""Network interfaces of a machine that runs: plugging and taking back.

As with disks everything is decided by what QEMU says it has now, so each call may be repeated. An interface taken by
force leaves its device in the port, without a network behind it, until the guest lets go of it or is reset.
"""

from contextlib import suppress

from bakehouse.drivers.hypervisor.qemu import command_line, ports
from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused, Monitor
from bakehouse.ports.hypervisor import DeviceBusy, MachineInterface


async def attached(monitor: Monitor) -> dict[str, str]:
    """Return the devices of interfaces by the interfaces' ids; those taken by force too."""
    found = {}
    for device in await ports.devices(monitor):
        interface_id = command_line.interface_of(device)
        if interface_id is not None:
            found[interface_id] = device
    return found


async def attach(monitor: Monitor, interface: MachineInterface) -> None:
    """Plug an interface into a free port. Plugged already: nothing happens.

    Raises:
        DeviceBusy: All ports are taken. Stopping and starting the machine makes new ones.
        CommandRefused: QEMU does not take it. Nothing is left.
    """
    port = await ports.free_port(monitor)
    if not await _add_network(monitor, interface):
        if interface.interface_id in await attached(monitor):
            return
        # A server was killed before it made the device; what it opened leads nowhere by now.
        await _remove_network(monitor, interface.interface_id)
        await _add_network(monitor, interface)
    if port is None:
        await _remove_network(monitor, interface.interface_id)
        raise DeviceBusy("all ports are taken; stop and start the machine for more")
    try:
        await monitor.execute("device_add", command_line.interface_options(interface, port))
    except CommandRefused:
        await _remove_network(monitor, interface.interface_id)
        raise


async def release(monitor: Monitor, interface_id: str) -> None:
    """Close what the interface's device talks to: of one that left, or that is to be taken by force."""
    await _remove_network(monitor, interface_id)


async def _add_network(monitor: Monitor, interface: MachineInterface) -> bool:
    """Give QEMU the tap; False when it has one of this interface."""
    name = command_line.network_of(interface.interface_id)
    await monitor.give(interface.connection.fd, name)
    try:
        await monitor.execute("netdev_add", {"type": "tap", "id": name, "fd": name, "vhost": False})
    except CommandRefused:
        with suppress(CommandRefused):
            await monitor.execute("closefd", {"fdname": name})
        return False
    return True


async def _remove_network(monitor: Monitor, interface_id: str) -> None:
    with suppress(CommandRefused):  # there is none
        await monitor.execute("netdev_del", {"id": command_line.network_of(interface_id)})
