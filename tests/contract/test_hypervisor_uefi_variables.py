"""UEFI variables of machines: what every hypervisor does with them, and what the real one reads and writes."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import hypervisors
from tests.contract.hypervisors import MACHINE, Driver, qemu_driver

from bakehouse.ports.hypervisor import MachineSpec, MachineStartFailed, UefiDataUnreadable

#: As EC2 writes a store without variables.
EMPTY = b"QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB"

#: What a boot loader keeps in it: no variable of the firmware's own, and lasting (non-volatile, for boot and runtime).
NOTE = {"name": "Note", "guid": "0b7e4c9a-58a6-4cc1-9d3f-1d2a3c4b5e6f", "attr": 7, "data": "6b657074"}


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        await skip_without_program(made)
        yield made


@pytest.fixture
async def qemu(tmp_path: Path) -> AsyncIterator[Driver]:
    async with qemu_driver(tmp_path) as made:
        await skip_without_program(made)
        yield made


async def skip_without_program(driver: Driver) -> None:
    if not (await driver.hypervisor.capabilities()).guests["x86_64"].has_uefi_data:
        pytest.skip("virt-fw-vars or OVMF is not installed")


def uefi(driver: Driver, uefi_data: bytes | None = None, architecture: str = "x86_64") -> MachineSpec:
    return replace(driver.spec(), architecture=architecture, boot_mode="uefi", uefi_data=uefi_data)


def program(folder: Path, *arguments: str) -> None:
    subprocess.run(["virt-fw-vars", "-l", "error", *arguments], check=True, cwd=folder, timeout=60)


def with_variables(folder: Path, *variables: dict[str, object]) -> bytes:
    """Return a store with these variables."""
    (folder / "empty").write_bytes(EMPTY)
    (folder / "wanted").write_text(json.dumps({"version": 2, "variables": variables}))
    program(folder, "-i", "empty", "--set-json", "wanted", "--output-aws", "made")
    return (folder / "made").read_bytes()


def variables_in(folder: Path, uefi_data: bytes | None) -> dict[str, str]:
    """Return the names and contents of the variables in a store."""
    assert uefi_data is not None
    (folder / "told").write_bytes(uefi_data)
    program(folder, "-i", "told", "--output-json", "read")
    return {it["name"]: it["data"] for it in json.loads((folder / "read").read_bytes())["variables"]}


async def test_a_machine_that_boots_by_bios_has_no_variables(driver: Driver) -> None:
    await driver.hypervisor.start(driver.spec())

    assert await driver.hypervisor.uefi_data(MACHINE) is None


async def test_a_machine_that_boots_by_uefi_has_variables_until_it_is_forgotten(driver: Driver) -> None:
    await driver.hypervisor.start(uefi(driver))
    assert await driver.hypervisor.uefi_data(MACHINE)

    await driver.hypervisor.kill(MACHINE)
    assert await driver.hypervisor.uefi_data(MACHINE)
    await driver.hypervisor.forget(MACHINE)

    assert await driver.hypervisor.uefi_data(MACHINE) is None


@pytest.mark.vm
@pytest.mark.parametrize("architecture", ["x86_64", pytest.param("arm64", marks=pytest.mark.long)])
async def test_a_machine_begins_with_the_variables_that_it_was_given(qemu: Driver, architecture: str) -> None:
    guests = (await qemu.hypervisor.capabilities()).guests
    if architecture not in guests or not guests[architecture].has_uefi_data:
        pytest.skip(f"there is no UEFI for {architecture}")
    await qemu.hypervisor.start(uefi(qemu, with_variables(qemu.directory, NOTE), architecture))

    assert variables_in(qemu.directory, await qemu.hypervisor.uefi_data(MACHINE))["Note"] == NOTE["data"]


@pytest.mark.vm
async def test_a_machine_that_starts_again_keeps_the_variables_that_it_has(qemu: Driver) -> None:
    spec = uefi(qemu, with_variables(qemu.directory, NOTE))
    await qemu.hypervisor.start(spec)
    await qemu.hypervisor.kill(MACHINE)

    await qemu.hypervisor.start(replace(spec, uefi_data=EMPTY))

    assert "Note" in variables_in(qemu.directory, await qemu.hypervisor.uefi_data(MACHINE))


@pytest.mark.vm
async def test_variables_that_cannot_be_read_start_no_machine(qemu: Driver) -> None:
    with pytest.raises(MachineStartFailed, match="virt-fw-vars"):
        await qemu.hypervisor.start(uefi(qemu, b"QU1aTlVFRkkAAAAAAAAAAA=="))

    assert await qemu.hypervisor.observe() == ()


def as_a_disk_image(store: bytes) -> bytes:
    return b"QFI\xfb" + store[4:]


def as_noise(store: bytes) -> bytes:
    return b"noise".ljust(len(store), b"\0")


@pytest.mark.vm
@pytest.mark.parametrize("spoilt", [as_a_disk_image, as_noise])
async def test_variables_that_a_guest_has_spoilt_are_not_read(qemu: Driver, spoilt: Callable[[bytes], bytes]) -> None:
    await qemu.hypervisor.start(uefi(qemu))
    await qemu.hypervisor.kill(MACHINE)
    (file,) = (qemu.directory / "home").glob("machines/*/uefi.vars")
    file.write_bytes(spoilt(file.read_bytes()))

    with pytest.raises(UefiDataUnreadable):
        await qemu.hypervisor.uefi_data(MACHINE)


def is_protected(driver: Driver) -> bool:
    """Tell whether the machine's firmware keeps its variables from programs of the guest."""
    record = json.loads((driver.directory / "home/machines" / MACHINE / "machine.json").read_bytes())
    return "driver=cfi.pflash01,property=secure,value=on" in record["argv"]


@pytest.mark.vm
async def test_a_machine_that_began_with_keys_knows_secure_boot_whenever_it_starts(qemu: Driver) -> None:
    (qemu.directory / "empty").write_bytes(EMPTY)
    program(
        qemu.directory, "-i", "empty", "--enroll-generate", "test", "--no-microsoft", "--sb", "--output-aws", "made"
    )
    spec = uefi(qemu, (qemu.directory / "made").read_bytes())
    await qemu.hypervisor.start(spec)
    assert is_protected(qemu)
    await qemu.hypervisor.kill(MACHINE)

    await qemu.hypervisor.start(replace(spec, uefi_data=None))

    assert is_protected(qemu)


@pytest.mark.vm
async def test_a_machine_that_began_without_keys_has_plain_firmware(qemu: Driver) -> None:
    await qemu.hypervisor.start(uefi(qemu, with_variables(qemu.directory, NOTE)))

    assert not is_protected(qemu)
