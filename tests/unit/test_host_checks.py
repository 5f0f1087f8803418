"""What `bakehouse doctor` says of a host and its architectures."""

from dataclasses import replace
from pathlib import Path

import pytest

from bakehouse.bootstrap import host_checks
from bakehouse.bootstrap.drivers import Drivers, make_drivers
from bakehouse.bootstrap.host_checks import examine_host
from bakehouse.drivers.hypervisor.fake import FakeHypervisor
from bakehouse.settings import Settings


@pytest.fixture
def hypervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHypervisor:
    """The hypervisor of the host that is examined."""
    drivers = make_drivers(tmp_path, Settings(simulate=True))
    assert isinstance(drivers.hypervisor, FakeHypervisor)

    def made(_home: Path, _settings: Settings) -> Drivers:
        return drivers

    monkeypatch.setattr(host_checks, "make_drivers", made)
    return drivers.hypervisor


async def details(home: Path) -> dict[str, str]:
    checks = await examine_host(home, Settings(simulate=True))
    return {check.name: check.detail for check in checks}


async def test_it_says_what_accelerates_guests_and_why(tmp_path: Path, hypervisor: FakeHypervisor) -> None:
    reason = (await hypervisor.capabilities()).accelerator_reason

    assert (await details(tmp_path))["accelerator"] == f"tcg: {reason}"


async def test_a_missing_emulator_is_named_by_its_package(tmp_path: Path, hypervisor: FakeHypervisor) -> None:
    del hypervisor.guests["arm64"]

    found = await details(tmp_path)

    assert found["arm64 guests"] == "none: for them install qemu-system-arm and qemu-efi-aarch64"
    assert found["x86_64 guests"].startswith("tcg, boot by legacy-bios or uefi, Secure Boot; NitroTPM by swtpm")


@pytest.mark.parametrize(
    ("lacking", "hint"),
    [
        ({"boot_modes": frozenset({"legacy-bios"})}, "for uefi install qemu-system-x86 and ovmf"),
        ({"has_secure_boot": False}, "for Secure Boot install a current qemu-system-x86 and ovmf"),
        ({"has_tpm": False}, "for NitroTPM install swtpm"),
        ({"has_uefi_data": False}, "for UefiData install virt-firmware (virt-fw-vars)"),
    ],
)
async def test_what_else_is_missing_is_named_too(
    tmp_path: Path, hypervisor: FakeHypervisor, lacking: dict[str, object], hint: str
) -> None:
    hypervisor.guests["x86_64"] = replace(hypervisor.guests["x86_64"], **lacking)  # type: ignore[arg-type]

    assert hint in (await details(tmp_path))["x86_64 guests"]


@pytest.mark.usefixtures("hypervisor")
async def test_it_says_where_the_records_are(tmp_path: Path) -> None:
    assert (await details(tmp_path))["database"] == f"SQLite: {tmp_path}/bakehouse.db"


@pytest.mark.usefixtures("hypervisor")
async def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "bakehouse.db").write_text("a letter")

    (check,) = (check for check in await examine_host(tmp_path, Settings(simulate=True)) if check.name == "database")

    assert not check.fine
    assert check.detail.startswith(f"`{tmp_path}/bakehouse.db` is no database; ")


async def test_a_host_without_qemu_has_no_accelerator(tmp_path: Path, hypervisor: FakeHypervisor) -> None:
    hypervisor.guests.clear()

    checks = {check.name: check for check in await examine_host(tmp_path, Settings(simulate=True))}

    assert "accelerator" not in checks
    assert not checks["hypervisor"].fine


@pytest.mark.usefixtures("hypervisor")
async def test_a_database_out_of_reach_is_a_problem(tmp_path: Path) -> None:
    settings = Settings(simulate=True, database_url=f"postgresql://baker@/bakehouse?host={tmp_path}")

    (check,) = (check for check in await examine_host(tmp_path, settings) if check.name == "database")

    assert not check.fine
    assert check.detail.startswith("the database cannot be used: ")
