"""This host's resolver, for `bakehouse names`."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from bakehouse.drivers.network.linux import host_resolver
from bakehouse.drivers.network.linux.host_resolver import ResolverChange, change_for, present_resolver
from bakehouse.drivers.process import ProcessFailed


class ResolverUnchanged(Exception):
    """The host's resolver was not changed. The text says why."""


def resolver_change(server: str, root: Path = Path("/")) -> ResolverChange | None:
    """Return what would make this host's programs resolve public names; None when its resolver cannot be taught."""
    resolver = present_resolver(root)
    return None if resolver is None else change_for(resolver, server)


async def install(change: ResolverChange) -> None:
    """Let the host's resolver ask for public names at our name server.

    Raises:
        ResolverUnchanged: It was not changed.
    """
    await _changed(host_resolver.install, change)


async def uninstall(change: ResolverChange) -> None:
    """Take that back.

    Raises:
        ResolverUnchanged: It was not changed.
    """
    await _changed(host_resolver.uninstall, change)


async def _changed(how: Callable[[ResolverChange], Awaitable[None]], change: ResolverChange) -> None:
    try:
        await how(change)
    except (host_resolver.ResolverRefused, ProcessFailed, OSError) as err:
        raise ResolverUnchanged(str(err)) from err
