"""The hot-plug ports of a machine that runs, and what is in them."""

from bakehouse.drivers.hypervisor.qemu import block_nodes
from bakehouse.drivers.hypervisor.qemu.monitor import Monitor


async def devices(monitor: Monitor) -> frozenset[str]:
    """Return the ids of all devices that have one."""
    return frozenset(child["name"] for child in await monitor.execute("qom-list", {"path": "/machine/peripheral"}))


async def free_port(monitor: Monitor) -> int | None:
    """Return the lowest port that nothing is plugged into; None when there is none."""
    found = await devices(monitor)
    taken = {block_nodes.port_of(device) for device in found}
    numbers = sorted(int(name.removeprefix("port")) for name in found if name.startswith("port"))
    return next((number for number in numbers if number not in taken), None)
