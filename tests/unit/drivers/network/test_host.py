"""What is said of a host that cannot do networks: what is missing, and the next step."""

import resource
from pathlib import Path

import pytest

from bakehouse.drivers import process
from bakehouse.drivers.network.linux import host, programs
from bakehouse.drivers.network.linux.host import Mode
from bakehouse.ports.network import NetworkUnavailable

TUN = Path("/dev/zero")
"""Can be opened, which is all that is asked of it here."""


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is there, until a test says otherwise."""
    monkeypatch.setattr(programs, "find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(host, "ctypes", _AnyLibrary())


class _AnyLibrary:
    def CDLL(self, name: str) -> str:  # noqa: N802 - ctypes calls it so
        return name


async def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda _name: None)

    with pytest.raises(NetworkUnavailable, match="apt install dnsmasq-base"):
        await host.prove("rootless", TUN)


async def test_a_missing_tun_device_is_named_with_its_module(tmp_path: Path) -> None:
    with pytest.raises(NetworkUnavailable, match="modprobe tun"):
        await host.prove("rootless", tmp_path / "tun")


@pytest.mark.parametrize(
    ("mode", "file", "value", "hint"),
    [
        ("rootless", "kernel/apparmor_restrict_unprivileged_userns", "1", "apparmor_restrict_unprivileged_userns=0"),
        ("rootless", "kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("rootless", "user/max_user_namespaces", "0", "max_user_namespaces=15000"),
        ("rootless", "user/max_user_namespaces", "5", "run as root"),
        ("root", "user/max_user_namespaces", "0", "CAP_SYS_ADMIN"),
    ],
)
async def test_forbidden_namespaces_come_with_what_allows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode, file: str, value: str, hint: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(f"{value}\n")
    monkeypatch.setattr(host, "_KERNEL", tmp_path)
    monkeypatch.setattr(host, "_TRIAL", "raise PermissionError({rootless})")

    with pytest.raises(NetworkUnavailable, match=hint) as refusal:
        await host.prove(mode, TUN)

    assert isinstance(refusal.value.__cause__, process.ProcessFailed)


def test_a_wish_for_a_mode_is_granted() -> None:
    assert (host.choose_mode("root"), host.choose_mode("rootless")) == ("root", "rootless")


def test_a_process_may_have_as_many_files_as_it_is_told() -> None:
    allowed = host.allow_open_files()

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == resource.RLIM_INFINITY or soft >= allowed
