"""How this host's own resolver is made to ask our name server for public names: by a file of a few lines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bakehouse.domain.public_names import PUBLIC_DOMAIN
from bakehouse.drivers import process
from bakehouse.drivers.network.linux import programs

_COMMAND_TIMEOUT_S: Final = 60

#: Where systemd-resolved listens for programs that read resolv.conf(5). Source: systemd-resolved.service(8).
_STUBS: Final = frozenset({"127.0.0.53", "127.0.0.54"})


class ResolverRefused(Exception):
    """The resolver's configuration was left as it was. The text says why, and what to do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverChange:
    """What makes one kind of resolver ask for public names where they are known."""

    resolver: str
    """What it is called."""
    path: Path
    """The file that does it."""
    text: str
    command: tuple[str, ...]
    """What makes the resolver read it."""


def change_for(resolver: str, server: str) -> ResolverChange:
    """Return what to do with a resolver of this kind, for a name server at ADDRESS:PORT. Pure.

    Sources: resolved.conf(5), DNS= (a port since version 246) and Domains=; dnsmasq(8), --server;
    NetworkManager.conf(5), dns=dnsmasq. dnsmasq's file also exempts the names from --stop-dns-rebind.
    """
    head = f"# Written by `bakehouse names --install`: names below {PUBLIC_DOMAIN} are Bakehouse's on this host.\n"
    if resolver == "systemd-resolved":
        return ResolverChange(
            resolver=resolver,
            path=Path("/etc/systemd/resolved.conf.d/bakehouse.conf"),
            text=f"{head}[Resolve]\nDNS={server}\nDomains=~{PUBLIC_DOMAIN}\n",
            command=("systemctl", "restart", "systemd-resolved"),
        )
    text = f"{head}server=/{PUBLIC_DOMAIN}/{server.replace(':', '#')}\nrebind-domain-ok=/{PUBLIC_DOMAIN}/\n"
    if resolver == "NetworkManager":
        path = Path("/etc/NetworkManager/dnsmasq.d/bakehouse.conf")
        return ResolverChange(resolver=resolver, path=path, text=text, command=("nmcli", "general", "reload"))
    return ResolverChange(
        resolver=resolver,
        path=Path("/etc/dnsmasq.d/bakehouse.conf"),
        text=text,
        command=("systemctl", "restart", "dnsmasq"),
    )


def present_resolver(root: Path = Path("/")) -> str | None:
    """Return which resolver this host's programs ask that can send one domain elsewhere; None when it is none of these.

    Args:
        root: Where the host's files are.
    """
    servers = _servers(_text(root / "etc/resolv.conf"))
    hosts = next((line for line in _text(root / "etc/nsswitch.conf").splitlines() if line.startswith("hosts:")), "")
    if (root / "run/systemd/resolve").is_dir() and (_STUBS & set(servers) or "resolve" in hosts.split()):
        return "systemd-resolved"
    if any(server.startswith("127.") for server in servers):
        if (root / "run/NetworkManager/dnsmasq.pid").exists():
            return "NetworkManager"
        if (root / "run/dnsmasq").is_dir() and (root / "etc/dnsmasq.d").is_dir():
            return "dnsmasq"
    return None


async def install(change: ResolverChange) -> None:
    """Write the file and let the resolver read it; doing it twice changes nothing more.

    Raises:
        ResolverRefused: It would ask us for other names too. Nothing was changed.
        OSError: The file cannot be written.
        ProcessFailed: The resolver did not take it; the file is away again.
    """
    if change.resolver == "systemd-resolved":
        await _refuse_global_servers(change)
    known = change.path.read_text() if change.path.exists() else None
    change.path.parent.mkdir(parents=True, exist_ok=True)
    change.path.write_text(change.text)
    change.path.chmod(0o644)
    try:
        await process.run(_found(change.command), timeout_s=_COMMAND_TIMEOUT_S)
    except process.ProcessFailed:
        if known is None:
            change.path.unlink()
        else:
            change.path.write_text(known)
        raise


async def uninstall(change: ResolverChange) -> None:
    """Remove the file and let the resolver forget it. Succeeds when there is none.

    Raises:
        OSError: The file cannot be removed.
        ProcessFailed: The resolver still has what the file said.
    """
    if change.path.exists():
        change.path.unlink()
        await process.run(_found(change.command), timeout_s=_COMMAND_TIMEOUT_S)


async def _refuse_global_servers(change: ResolverChange) -> None:
    """Refuse where resolved has servers that belong to no link: it takes all such servers for one another's like."""
    told = await process.run(_found(("resolvectl", "dns")), timeout_s=_COMMAND_TIMEOUT_S)
    others = global_servers(told.text) - {line.removeprefix("DNS=") for line in change.text.splitlines()}
    if others:
        raise ResolverRefused(
            f"systemd-resolved has servers of no link ({', '.join(sorted(others))}), and would take ours for one more "
            "of them; give those to a link instead"
        )


def global_servers(told: str) -> frozenset[str]:
    """Return the servers that `resolvectl dns` shows as nobody's link's. Pure."""
    lines = (line.partition(":") for line in told.splitlines())
    return frozenset(server for name, _colon, rest in lines if name.strip() == "Global" for server in rest.split())


def _found(command: tuple[str, ...]) -> list[str]:
    return [programs.find(command[0]) or command[0], *command[1:]]


def _servers(resolv_conf: str) -> list[str]:
    lines = (line.split() for line in resolv_conf.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
