"""What the consoles of every hypervisor do, the fake's and the real one's. The guests repeat each letter they read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tests.contract import hypervisors
from tests.contract.hypervisors import DEADLINE_S, MACHINE, Driver

from bakehouse.ports.consoles import MachineGone, SerialConsole
from bakehouse.ports.hypervisor import Hypervisor


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        await made.started()
        yield made


@asynccontextmanager
async def serial(hypervisor: Hypervisor, position: int | None = None) -> AsyncIterator[SerialConsole]:
    console = await hypervisor.consoles.open_serial(MACHINE, position=position)
    try:
        yield console
    finally:
        await console.close()


async def seen(console: SerialConsole, text: bytes) -> bytes:
    """Read until a text has come; return all that has come until then."""
    read = b""
    async with asyncio.timeout(DEADLINE_S):
        while text not in read:
            piece = await console.read()
            assert piece, f"the console ended after {read!r}"
            read += piece
    return read


async def test_who_connects_first_sees_what_was_written_before(driver: Driver) -> None:
    written = await driver.hypervisor.console_output(MACHINE)

    async with serial(driver.hypervisor) as console:
        assert await seen(console, written) == written


async def test_the_guest_reads_what_is_typed(driver: Driver) -> None:
    async with serial(driver.hypervisor) as console:
        await console.write(b"xyz")

        await seen(console, b"xyz")


async def test_all_who_are_connected_see_the_same(driver: Driver) -> None:
    async with serial(driver.hypervisor) as first, serial(driver.hypervisor) as second:
        await first.write(b"1")
        await seen(second, b"1")
        await second.write(b"2")

        assert (await seen(first, b"2"))[-2:] == b"12"


async def test_one_who_leaves_does_not_disturb_the_others(driver: Driver) -> None:
    async with serial(driver.hypervisor) as staying:
        async with serial(driver.hypervisor) as leaving:
            await leaving.write(b"1")
            await seen(leaving, b"1")

        await staying.write(b"2")

        await seen(staying, b"12")


async def test_one_who_comes_back_goes_on_where_they_were(driver: Driver) -> None:
    async with serial(driver.hypervisor) as console:
        await console.write(b"1")
        await seen(console, b"1")
        position = console.position
        await console.write(b"2")

    async with serial(driver.hypervisor, position) as again:
        assert await seen(again, b"2") == b"2"


async def test_a_new_server_goes_on_where_the_one_before_was(driver: Driver) -> None:
    async with serial(driver.hypervisor) as console:
        await console.write(b"1")
        await seen(console, b"1")
        position = console.position

    hypervisor = await driver.reopened()

    async with serial(hypervisor, position) as again:
        await again.write(b"2")
        assert await seen(again, b"2") == b"2"


async def test_one_from_a_place_that_never_was_sees_the_last_lines(driver: Driver) -> None:
    written = await driver.hypervisor.console_output(MACHINE)

    async with serial(driver.hypervisor, 10**9) as console:
        assert await seen(console, written) == written


async def test_a_break_reaches_the_guest(driver: Driver) -> None:
    async with serial(driver.hypervisor) as console:
        await console.send_break()

        await seen(console, b"\0")


async def test_a_console_ends_with_its_machine(driver: Driver) -> None:
    async with serial(driver.hypervisor) as console:
        await seen(console, (await driver.hypervisor.console_output(MACHINE))[-1:])
        await driver.hypervisor.kill(MACHINE)

        async with asyncio.timeout(DEADLINE_S):
            while await console.read():
                pass


async def test_nothing_can_be_typed_to_a_machine_that_is_gone(driver: Driver) -> None:
    async with serial(driver.hypervisor) as console:
        await driver.hypervisor.kill(MACHINE)
        async with asyncio.timeout(DEADLINE_S):
            while await console.read():
                pass

        with pytest.raises(MachineGone):
            await console.write(b"x")


async def test_a_machine_that_is_gone_has_no_console(driver: Driver) -> None:
    await driver.hypervisor.kill(MACHINE)

    with pytest.raises(MachineGone):
        await driver.hypervisor.consoles.open_serial(MACHINE)


async def test_a_machine_started_again_has_a_console_again(driver: Driver) -> None:
    spec_directory = driver.directory / "again"
    spec_directory.mkdir()
    async with serial(driver.hypervisor) as console:
        await driver.hypervisor.kill(MACHINE)
        async with asyncio.timeout(DEADLINE_S):
            while await console.read():
                pass
    await driver.hypervisor.forget(MACHINE)
    (driver.directory / MACHINE).rename(spec_directory / MACHINE)
    await driver.started()

    async with serial(driver.hypervisor) as console:
        await console.write(b"x")
        await seen(console, b"x")


async def test_a_screenshot_is_a_picture_of_a_screen(driver: Driver) -> None:
    picture = Image.open(BytesIO(await driver.hypervisor.consoles.screenshot(MACHINE)))

    assert (picture.format, picture.size) == ("JPEG", (720, 400))


async def test_a_screenshot_shows_something(driver: Driver) -> None:
    picture = Image.open(BytesIO(await driver.hypervisor.consoles.screenshot(MACHINE)))

    shades = picture.convert("L").histogram()
    dark, bright = sum(shades[:64]), sum(shades[128:])
    assert dark > bright > picture.width


async def test_a_screenshot_can_be_taken_again_with_a_key_pressed(driver: Driver) -> None:
    await driver.hypervisor.consoles.screenshot(MACHINE)

    assert await driver.hypervisor.consoles.screenshot(MACHINE, wake_up=True)


async def test_a_new_server_takes_screenshots(driver: Driver) -> None:
    hypervisor = await driver.reopened()
    await hypervisor.observe()

    assert await hypervisor.consoles.screenshot(MACHINE)


async def test_a_machine_that_is_gone_has_no_screen(driver: Driver) -> None:
    await driver.hypervisor.kill(MACHINE)

    with pytest.raises(MachineGone):
        await driver.hypervisor.consoles.screenshot(MACHINE)


async def test_a_machine_that_is_gone_is_not_interrupted(driver: Driver) -> None:
    await driver.hypervisor.kill(MACHINE)

    with pytest.raises(MachineGone):
        await driver.hypervisor.consoles.interrupt(MACHINE)
