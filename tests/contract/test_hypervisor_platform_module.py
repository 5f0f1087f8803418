"""What every hypervisor's trusted platform modules do, the fake's and the real ones'."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from tests.contract import hypervisors
from tests.contract.hypervisors import MACHINE, OTHER, Driver

from bakehouse.ports.hypervisor import MachineSpec, MachineStartFailed


@pytest.fixture(params=hypervisors.PARAMETERS)
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    async with request.param(tmp_path) as made:
        if not (await made.hypervisor.capabilities()).guests["x86_64"].has_tpm:
            pytest.skip("swtpm or OVMF is not installed")
        yield made


async def started(driver: Driver, machine_id: str = MACHINE) -> MachineSpec:
    """Start a machine that has a module. Nobody waits for its guest."""
    spec = replace(driver.spec(machine_id), boot_mode="uefi", has_tpm=True)
    await driver.hypervisor.start(spec)
    return spec


async def test_a_machine_without_a_module_has_no_endorsement_keys(driver: Driver) -> None:
    await driver.hypervisor.start(driver.spec())

    assert await driver.hypervisor.endorsement_keys(MACHINE) == {}


async def test_a_module_has_an_rsa_key_of_2048_bits(driver: Driver) -> None:
    await started(driver)

    key = load_der_public_key((await driver.hypervisor.endorsement_keys(MACHINE))["rsa-2048"].der)

    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


async def test_a_module_has_a_key_on_the_curve_p384(driver: Driver) -> None:
    await started(driver)

    key = load_der_public_key((await driver.hypervisor.endorsement_keys(MACHINE))["ecc-sec-p384"].der)

    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"


async def test_both_formats_are_of_the_same_key(driver: Driver) -> None:
    await started(driver)

    keys = await driver.hypervisor.endorsement_keys(MACHINE)

    # The key is the last of the TPM's format; of DER's, an exponent is behind the modulus.
    assert keys["rsa-2048"].tpmt[-256:] in keys["rsa-2048"].der
    assert keys["ecc-sec-p384"].der.endswith(keys["ecc-sec-p384"].tpmt[-48:])


async def test_each_machine_has_keys_of_its_own(driver: Driver) -> None:
    await started(driver)
    await started(driver, OTHER)

    first, second = [await driver.hypervisor.endorsement_keys(it) for it in (MACHINE, OTHER)]

    assert first["rsa-2048"] != second["rsa-2048"]
    assert first["ecc-sec-p384"] != second["ecc-sec-p384"]


async def test_a_module_stays_over_stop_and_start(driver: Driver) -> None:
    spec = await started(driver)
    before = await driver.hypervisor.endorsement_keys(MACHINE)

    await driver.hypervisor.kill(MACHINE)
    assert await driver.hypervisor.endorsement_keys(MACHINE) == before
    await driver.hypervisor.start(spec)

    assert await driver.hypervisor.endorsement_keys(MACHINE) == before


async def test_a_module_goes_with_its_machine(driver: Driver) -> None:
    await started(driver)

    await driver.hypervisor.kill(MACHINE)
    await driver.hypervisor.forget(MACHINE)

    assert await driver.hypervisor.endorsement_keys(MACHINE) == {}


async def test_a_new_server_finds_the_keys_of_a_machine_that_runs(driver: Driver) -> None:
    await started(driver)
    before = await driver.hypervisor.endorsement_keys(MACHINE)

    again = await driver.reopened()

    assert await again.endorsement_keys(MACHINE) == before


async def test_a_start_that_fails_leaves_no_module(driver: Driver) -> None:
    spec = replace(driver.broken(driver.spec()), boot_mode="uefi", has_tpm=True)

    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(spec)

    assert await driver.hypervisor.endorsement_keys(MACHINE) == {}
    assert await driver.hypervisor.observe() == ()


async def test_a_start_that_fails_spares_the_module_of_a_machine_that_has_run(driver: Driver) -> None:
    spec = await started(driver)
    before = await driver.hypervisor.endorsement_keys(MACHINE)
    await driver.hypervisor.kill(MACHINE)

    with pytest.raises(MachineStartFailed):
        await driver.hypervisor.start(driver.broken(spec))

    await driver.hypervisor.start(spec)
    assert await driver.hypervisor.endorsement_keys(MACHINE) == before


@pytest.mark.vm
async def test_a_start_that_fails_ends_the_modules_process(tmp_path: Path) -> None:
    async with hypervisors.qemu_driver(tmp_path) as driver:
        spec = await started(driver)
        await driver.hypervisor.kill(MACHINE)
        folder = tmp_path / "home/machines" / MACHINE / "tpm"

        with pytest.raises(MachineStartFailed):
            await driver.hypervisor.start(driver.broken(spec))

        assert processes_in(folder) == []


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose current folder this is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found
