"""Network interfaces of machines that run: what each hypervisor does with them."""

import fcntl
import os
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import MACHINE, Driver

from bakehouse.ports.hypervisor import DeviceBusy, MachineInterface, MonitorLost
from bakehouse.ports.network import InterfaceConnection

INTERFACE = "eni-0123456789abcdef0"

#: `_IOW('T', 202, int)`, and the flags of a tap without packet information and with virtio's headers.
#: Source: Linux, include/uapi/linux/if_tun.h.
_TUNSETIFF = 0x400454CA
_FLAGS = 0x0002 | 0x1000 | 0x4000


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        yield made


@pytest.fixture
def tap() -> Iterator[int]:
    """A tap that nobody else has; it vanishes with its last descriptor."""
    if os.geteuid() != 0:
        pytest.skip("only root may make taps outside of a namespace")
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", b"bh-test%d", _FLAGS))
    yield descriptor
    os.close(descriptor)


def interface(tap: int) -> MachineInterface:
    """Return an interface with a descriptor of its own, which the driver closes."""
    connection = InterfaceConnection(fd=os.dup(tap))
    return MachineInterface(interface_id=INTERFACE, mac="02:00:00:00:00:01", connection=connection)


async def test_an_interface_is_plugged_into_a_running_machine_once(driver: Driver, tap: int) -> None:
    await driver.started()
    plugged = interface(tap)

    await driver.hypervisor.attach_interface(MACHINE, plugged)
    await driver.hypervisor.attach_interface(MACHINE, interface(tap))

    assert (await driver.status()).interface_ids == {INTERFACE}
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(plugged.connection.fd)


async def test_a_guest_may_keep_an_interface_unless_it_is_forced(driver: Driver, tap: int) -> None:
    await driver.started()
    driver.guest_keeps_disks(MACHINE)
    await driver.hypervisor.attach_interface(MACHINE, interface(tap))

    with pytest.raises(DeviceBusy):
        await driver.hypervisor.detach_interface(MACHINE, INTERFACE, force=False)
    assert (await driver.status()).interface_ids == {INTERFACE}
    await driver.hypervisor.detach_interface(MACHINE, INTERFACE, force=True)
    await driver.hypervisor.detach_interface(MACHINE, INTERFACE, force=True)


async def test_an_interface_taken_by_force_can_be_plugged_in_again(driver: Driver, tap: int) -> None:
    await driver.started()
    await driver.hypervisor.attach_interface(MACHINE, interface(tap))
    await driver.hypervisor.detach_interface(MACHINE, INTERFACE, force=True)

    await driver.hypervisor.attach_interface(MACHINE, interface(tap))

    assert (await driver.status()).interface_ids == {INTERFACE}


async def test_what_is_not_there_is_not_detached(driver: Driver) -> None:
    await driver.hypervisor.detach_interface(MACHINE, INTERFACE, force=False)
    await driver.started()

    await driver.hypervisor.detach_interface(MACHINE, INTERFACE, force=False)


async def test_nothing_is_plugged_into_a_machine_that_is_gone(driver: Driver, tap: int) -> None:
    plugged = interface(tap)

    with pytest.raises(MonitorLost):
        await driver.hypervisor.attach_interface(MACHINE, plugged)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(plugged.connection.fd)
