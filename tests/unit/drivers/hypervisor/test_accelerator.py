import grp
import os
import platform as host
import pwd
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bakehouse.drivers.hypervisor.qemu import accelerator, kernel_hypervisor
from bakehouse.drivers.hypervisor.qemu.accelerator import Accelerator, judge
from bakehouse.drivers.hypervisor.qemu.platforms import PLATFORMS, Platform

NATIVE = replace(PLATFORMS["x86_64"], native_to=frozenset({host.machine()}))
FOREIGN = replace(PLATFORMS["arm64"], native_to=frozenset())


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Pretend that there is a KVM device, that QEMU has it and that it works; return what was tried."""
    device = tmp_path / "kvm"
    device.touch()
    tried: list[str] = []

    async def prove(name: str, *, binary: str, user: object) -> Accelerator:
        tried.append(f"{name} {binary} {user}")
        return Accelerator(name, "It ran.")

    async def offers(_binary: str, _name: str) -> bool:
        return True

    monkeypatch.setattr(host, "system", lambda: "Linux")
    monkeypatch.setattr(kernel_hypervisor, "KVM_DEVICE", device)
    monkeypatch.setattr(accelerator, "offers", offers)
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
    assert [Accelerator(name, "").isolates for name in ("kvm", "hvf", "tcg")] == [True, True, False]


async def test_a_setting_is_obeyed_without_a_trial(proofs: list[str], tmp_path: Path) -> None:
    chosen = await choose(tmp_path, setting="tcg")

    assert (chosen.name, proofs) == ("tcg", [])


async def test_a_host_without_kvm_emulates(proofs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_hypervisor, "KVM_DEVICE", tmp_path / "missing")

    assert ((await choose(tmp_path)).name, proofs) == ("tcg", [])


async def test_a_device_that_is_closed_to_the_user_is_not_tried(
    proofs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_arguments, **_options: False)

    chosen = await choose(tmp_path)

    assert (chosen.name, proofs) == ("tcg", [])
    assert chosen.reason.startswith(f"`{kernel_hypervisor.KVM_DEVICE}` is closed to this user")


def test_a_user_is_told_the_group_that_may_use_kvm() -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    device = os.stat_result((stat.S_IFCHR | 0o660, 0, 0, 1, 0, 1, 0, 0, 0, 0))

    assert f"`usermod -aG {grp.getgrgid(1).gr_name} {user}`" in kernel_hypervisor._way_in(device)
    assert kernel_hypervisor._way_in(os.stat_result((stat.S_IFCHR | 0o600, 0, 0, 1, 0, 1, 0, 0, 0, 0))) == ""


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

    kernel_hypervisor.KVM_DEVICE.chmod(stat.S_IRWXU)
    await choose(tmp_path)

    assert len(proofs) == 2


async def test_a_broken_cache_is_tried_again(proofs: list[str], tmp_path: Path) -> None:
    (tmp_path / "accelerator.json").write_text("{", encoding="ascii")

    assert (await choose(tmp_path)).name == "kvm"
    assert len(proofs) == 1


async def test_a_foreign_processor_is_emulated_without_a_trial(proofs: list[str], tmp_path: Path) -> None:
    chosen = await choose(tmp_path, platform=FOREIGN, setting="kvm")

    assert (chosen.name, proofs) == ("tcg", [])


class Mac:
    """A Mac, as far as it is looked at: `sysctl`, and a QEMU of its own that runs the test guest, or fails to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sysctl = "5E6FFEBE-5F13-4C35-9B1E-5E1A1B1C1D1E\n1"
        self.offered = "hvf tcg"
        self.guest = "printf K; exit 33"
        self.binary = folder / "qemu-system-x86_64"

    def write(self) -> None:
        self._program("sysctl", f"printf '%s\\n' '{self.sysctl}'")
        help_text = f"printf '%s\\n' 'Accelerators supported in QEMU binary:' {self.offered}"
        self._program(
            self.binary.name,
            f'echo "$*" >> {self.folder}/calls\n[ "$1 $2" = "-accel help" ] && {{ {help_text}; exit; }}\n{self.guest}',
        )

    def _program(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def calls(self) -> list[str]:
        """Return the command lines of its QEMU."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    async def choose(self, platform: Platform = NATIVE, setting: str = "auto", version: str = "10.2") -> Accelerator:
        self.write()
        return await choose(
            self.folder, platform=replace(platform, binary=str(self.binary)), setting=setting, version=version
        )


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mac:
    monkeypatch.setattr(host, "system", lambda: "Darwin")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    # The proof's own second is for a real QEMU; a shell on a busy host may take longer.
    monkeypatch.setattr(accelerator, "PROBE_LIMIT_S", 30.0)
    return Mac(tmp_path)


async def test_on_a_mac_the_test_guest_proves_hvf(mac: Mac) -> None:
    assert await mac.choose() == Accelerator("hvf", "A test guest ran under hvf.")

    help_text, proof = mac.calls()
    assert help_text == "-accel help"
    assert "-accel hvf -cpu host" in proof


async def test_the_guest_of_a_mac_is_in_a_file_that_qemu_can_read(mac: Mac) -> None:
    mac.guest = f'for word; do :; done; cp "${{word##*file=}}" {mac.folder}/code; printf K; exit 33'

    assert (await mac.choose()).name == "hvf"
    assert (mac.folder / "code").read_bytes().endswith(b"\x55\xaa")


async def test_a_guest_that_hvf_does_not_run_means_emulation(mac: Mac) -> None:
    mac.guest = "echo 'qemu-system-x86_64: Error: ret = HV_UNSUPPORTED' >&2; exit 1"

    chosen = await mac.choose()

    assert chosen == Accelerator("tcg", "A test guest did not run under hvf: Error: ret = HV_UNSUPPORTED.")


async def test_a_qemu_without_hvf_emulates_without_a_trial(mac: Mac) -> None:
    mac.offered = "tcg"

    assert await mac.choose() == Accelerator("tcg", "This QEMU was built without hvf.")
    assert mac.calls() == ["-accel help"]


@pytest.mark.parametrize("sysctl", ["5E6FFEBE\n0", "5E6FFEBE"])
async def test_a_mac_without_hypervisor_framework_emulates(mac: Mac, sysctl: str) -> None:
    mac.sysctl = sysctl

    chosen = await mac.choose()

    assert chosen == Accelerator("tcg", "This Mac's processor or macOS has no Hypervisor.framework.")
    assert mac.calls() == []


async def test_the_verdict_on_hvf_is_kept_until_qemu_changes_or_the_mac_boots(mac: Mac) -> None:
    await mac.choose()
    await mac.choose()
    assert len(mac.calls()) == 2

    await mac.choose(version="11.0")
    assert len(mac.calls()) == 4

    mac.sysctl = mac.sysctl.replace("5E6F", "0000")
    await mac.choose(version="11.0")
    assert len(mac.calls()) == 6


async def test_hvf_is_obeyed_without_a_trial_where_it_is_the_setting(mac: Mac) -> None:
    chosen = await mac.choose(setting="hvf")

    assert (chosen, mac.calls()) == (Accelerator("hvf", "Chosen in the settings; not tried."), [])


async def test_a_foreign_processor_is_emulated_on_a_mac_too(mac: Mac) -> None:
    assert (await mac.choose(FOREIGN, setting="hvf")).name == "tcg"
