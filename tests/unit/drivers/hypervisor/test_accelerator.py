import platform as host
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bakehouse.drivers.hypervisor.qemu import accelerator
from bakehouse.drivers.hypervisor.qemu.accelerator import Accelerator, judge
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS, Platform

NATIVE = replace(PLATFORMS["x86_64"], native_to=frozenset({host.machine()}))
FOREIGN = replace(PLATFORMS["arm64"], native_to=frozenset())


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Pretend that there is a KVM device and that it works; return what was tried."""
    device = tmp_path / "kvm"
    device.touch()
    tried: list[str] = []

    async def prove(name: str, *, binary: str, user: object) -> Accelerator:
        tried.append(f"{name} {binary} {user}")
        return Accelerator(name, "It ran.")

    monkeypatch.setattr(accelerator, "KVM_DEVICE", device)
    monkeypatch.setattr(accelerator, "prove", prove)
    return tried


async def choose(
    directory: Path, *, platform: Platform = NATIVE, setting: str = "auto", version: str = "7.2"
) -> Accelerator:
    cache = directory / "accelerator.json"
    return await accelerator.choose(setting, platform, version=version, cache=cache, user=None)


def test_a_guest_that_said_its_letter_and_left_proves_kvm() -> None:
    assert judge("kvm", wanted=33, output=b"K", status=33, errors="").name == "kvm"


def test_a_guest_that_left_without_a_word_proves_nothing() -> None:
    assert judge("kvm", wanted=33, output=b"", status=33, errors="").name == "tcg"


def test_a_guest_that_took_too_long_means_emulation() -> None:
    verdict = judge("kvm", wanted=33, output=b"", status=None, errors="")

    assert verdict == Accelerator("tcg", "A test guest did not finish within 1 s under kvm.")


def test_qemus_own_words_are_the_reason() -> None:
    verdict = judge(
        "kvm", wanted=33, output=b"", status=1, errors="qemu-system-x86_64: failed to set MSR 0x10a\nmore\n"
    )

    assert verdict.reason == "A test guest did not run under kvm: failed to set MSR 0x10a."


def test_a_silent_death_is_told_by_its_status() -> None:
    assert "status -6" in judge("kvm", wanted=33, output=b"", status=-6, errors="").reason


def test_emulation_promises_no_isolation() -> None:
    assert [Accelerator(name, "").isolates for name in ("kvm", "tcg")] == [True, False]


async def test_a_setting_is_obeyed_without_a_trial(proofs: list[str], tmp_path: Path) -> None:
    chosen = await choose(tmp_path, setting="tcg")

    assert (chosen.name, proofs) == ("tcg", [])


async def test_a_host_without_kvm_emulates(proofs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "KVM_DEVICE", tmp_path / "missing")

    assert ((await choose(tmp_path)).name, proofs) == ("tcg", [])


async def test_a_verdict_is_kept(proofs: list[str], tmp_path: Path) -> None:
    first = await choose(tmp_path)

    assert await choose(tmp_path) == first
    assert len(proofs) == 1


async def test_another_qemu_is_tried_again(proofs: list[str], tmp_path: Path) -> None:
    await choose(tmp_path, version="7.2")

    await choose(tmp_path, version="8.0")

    assert len(proofs) == 2


async def test_a_change_of_access_is_tried_again(proofs: list[str], tmp_path: Path) -> None:
    await choose(tmp_path)

    accelerator.KVM_DEVICE.chmod(stat.S_IRUSR)
    await choose(tmp_path)

    assert len(proofs) == 2


async def test_a_broken_cache_is_tried_again(proofs: list[str], tmp_path: Path) -> None:
    (tmp_path / "accelerator.json").write_text("{", encoding="ascii")

    assert (await choose(tmp_path)).name == "kvm"
    assert len(proofs) == 1


async def test_a_foreign_processor_is_emulated_without_a_trial(proofs: list[str], tmp_path: Path) -> None:
    chosen = await choose(tmp_path, platform=FOREIGN, setting="kvm")

    assert (chosen.name, proofs) == ("tcg", [])
