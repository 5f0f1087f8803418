"""How the host's resolver is taught to ask for public names."""

from dataclasses import replace
from pathlib import Path

import pytest

from bakehouse.bootstrap.host_resolver import ResolverUnchanged, install, resolver_change, uninstall
from bakehouse.drivers.network.linux.host_resolver import ResolverChange, change_for, global_servers, present_resolver

SERVER = "127.0.0.1:8753"


def host(root: Path, *folders: str, **files: str) -> Path:
    for folder in ("etc", *folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("files", [{"etc__resolv_conf": "nameserver 127.0.0.53\n"}, {"etc__nsswitch_conf": ""}])
def test_systemd_resolved_is_known_by_its_stub_or_its_module(tmp_path: Path, files: dict[str, str]) -> None:
    root = host(tmp_path, "run/systemd/resolve", **{"etc__resolv_conf": "nameserver 10.0.0.1\n", **files})
    if "etc__nsswitch_conf" in files:
        (root / "etc/nsswitch.conf").write_text("passwd: files\nhosts: files resolve [!UNAVAIL=return] dns\n")

    assert present_resolver(root) == "systemd-resolved"


def test_dnsmasq_is_known_whoever_runs_it(tmp_path: Path) -> None:
    resolv = {"etc__resolv_conf": "# ours\nnameserver 127.0.0.1\n"}
    alone = host(tmp_path / "a", "run/dnsmasq", "etc/dnsmasq.d", **resolv)
    managed = host(tmp_path / "b", **resolv)
    (managed / "run/NetworkManager").mkdir(parents=True)
    (managed / "run/NetworkManager/dnsmasq.pid").touch()

    assert (present_resolver(alone), present_resolver(managed)) == ("dnsmasq", "NetworkManager")


@pytest.mark.parametrize("resolv", ["", "nameserver\n", "nameserver 10.0.0.1\n"])
def test_a_resolver_elsewhere_cannot_be_taught(tmp_path: Path, resolv: str) -> None:
    root = host(tmp_path, "run/dnsmasq", "etc/dnsmasq.d", "run/systemd/resolve", etc__resolv_conf=resolv)

    assert present_resolver(root) is None
    assert resolver_change(SERVER, root) is None
    assert present_resolver(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("resolver", "line"),
    [
        ("systemd-resolved", "DNS=127.0.0.1:8753\nDomains=~bakehouse.internal\n"),
        ("NetworkManager", "server=/bakehouse.internal/127.0.0.1#8753\n"),
        ("dnsmasq", "server=/bakehouse.internal/127.0.0.1#8753\n"),
    ],
)
def test_each_resolver_sends_our_names_and_no_others(resolver: str, line: str) -> None:
    change = change_for(resolver, SERVER)

    assert line in change.text
    assert change.path.name == "bakehouse.conf"


def ours(tmp_path: Path, *command: str, resolver: str = "dnsmasq") -> ResolverChange:
    return replace(change_for(resolver, SERVER), path=tmp_path / "etc" / "bakehouse.conf", command=command)


async def test_the_file_comes_and_goes(tmp_path: Path) -> None:
    change = ours(tmp_path, "true")

    await install(change)
    await install(change)
    assert change.path.read_text() == change.text
    await uninstall(change)
    await uninstall(change)
    assert not change.path.exists()


async def test_a_resolver_that_does_not_take_the_file_is_as_before(tmp_path: Path) -> None:
    change = ours(tmp_path, "false")

    with pytest.raises(ResolverUnchanged):
        await install(change)
    assert not change.path.exists()
    change.path.write_text("theirs")
    with pytest.raises(ResolverUnchanged):
        await install(change)
    assert change.path.read_text() == "theirs"


@pytest.mark.parametrize(
    ("told", "servers"),
    [
        ("Global:\nLink 2 (eth0): 10.0.0.1\n", set()),
        ("Global: 127.0.0.1:8753\nLink 2 (eth0): 10.0.0.1\n", {"127.0.0.1:8753"}),
        ("       Global: 8.8.8.8 2001:4860:4860::8888\nLink 2 (eth0):\n", {"8.8.8.8", "2001:4860:4860::8888"}),
        ("", set()),
    ],
)
def test_servers_of_no_link_are_found(told: str, servers: set[str]) -> None:
    assert global_servers(told) == servers


async def test_systemd_resolved_with_servers_of_no_link_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "resolvectl"
    told.write_text("#!/bin/sh\necho Global: 8.8.8.8\n")
    told.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    change = ours(tmp_path, "true", resolver="systemd-resolved")

    with pytest.raises(ResolverUnchanged, match=r"8\.8\.8\.8"):
        await install(change)
    told.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ResolverUnchanged):
        await install(change)
    assert not change.path.exists()
    told.write_text(f"#!/bin/sh\necho Global: {SERVER}\n")
    await install(change)
    assert change.path.exists()
