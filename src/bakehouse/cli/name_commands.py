"""The command on public names: names."""

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from bakehouse.cli.home import HomeOption, control, home_of
from bakehouse.cli.terminal import CommandFailed, Output, OutputOption, note, print_facts, print_json, print_text


def names(
    home: HomeOption = None,
    hosts: Annotated[bool, typer.Option("--hosts", help="Print the lines of /etc/hosts for the names in use.")] = False,
    install_now: Annotated[
        bool, typer.Option("--install", help="Make this host resolve the names: its resolver asks here for them.")
    ] = False,
    uninstall_now: Annotated[bool, typer.Option("--uninstall", help="Take that back.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say whether this host resolves public names of instances, and what makes it do so."""
    where = home_of(home)
    with control(where) as server:
        found = server.get("/names")
        if install_now or uninstall_now:
            _change_resolver(found, taking_back=uninstall_now)
            found = server.get("/names")
    if hosts:
        _print_hosts(found["names"], output)
        return
    _explain(found, output)
    if install_now and not found["proven"]:
        raise CommandFailed(
            "this host still does not resolve the names", "systemd-resolved before version 246 knows no ports"
        )


def _change_resolver(found: Mapping[str, Any], *, taking_back: bool) -> None:
    if found["server"] is None:
        raise CommandFailed("this server has no name server", "look at `BAKEHOUSE_NAME_SERVER`")
    import asyncio

    from bakehouse.bootstrap.host_resolver import ResolverUnchanged, install, resolver_change, uninstall

    change = resolver_change(found["server"])
    if change is None:
        raise CommandFailed(
            "this host's resolver cannot send some names elsewhere", "put `bakehouse names --hosts` into /etc/hosts"
        )
    if os.geteuid() != 0:
        raise CommandFailed(f"only root may write `{change.path}`", "the lines for it: `bakehouse names`")
    try:
        asyncio.run(uninstall(change) if taking_back else install(change))
    except ResolverUnchanged as err:
        raise CommandFailed(f"{change.resolver} was not changed: {err}") from err
    note(f"{'removed' if taking_back else 'wrote'} `{change.path}`")


def _print_hosts(names_in_use: Sequence[Mapping[str, str]], output: Output) -> None:
    if output is Output.JSON:
        print_json(names_in_use)
        return
    for named in names_in_use:
        print_text(f"{named['address']} {named['name']} # {named['instance_id']}")


def _explain(found: Mapping[str, Any], output: Output) -> None:
    from bakehouse.bootstrap.host_resolver import resolver_change

    change = None if found["server"] is None else resolver_change(found["server"])
    if output is Output.JSON:
        step = None
        if change is not None:
            step = {
                "resolver": change.resolver,
                "path": str(change.path),
                "text": change.text,
                "command": list(change.command),
            }
        print_json({**found, "step": step})
        return
    answers = "this server answers" if found["serves"] else found["problem"]
    shown = "names" if found["proven"] else "the addresses themselves"
    print_facts(
        output,
        {
            "domain": found["domain"],
            "name server": f"{found['server'] or 'none'} ({answers})",
            "this host": f"{'resolves' if found['proven'] else 'does not resolve'} these names",
            "PublicDnsName": f"{shown}; addresses that have one now: {len(found['names'])}",
        },
    )
    if found["proven"] or found["server"] is None:
        return
    if change is None:
        note("\nNo resolver was found here that can send some names elsewhere. Instead: bakehouse names --hosts")
        return
    note(f"\nTo make it resolve them, as root: bakehouse names --install\nor write `{change.path}`:\n")
    note("".join(f"    {line}\n" for line in change.text.splitlines()))
    note(f"and then: {shlex.join(change.command)}")
