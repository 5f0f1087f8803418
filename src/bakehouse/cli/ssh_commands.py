"""Commands that go into instances: ssh, scp, forward, ssh-config."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from bakehouse.cli.home import HomeOption, home_of
from bakehouse.cli.ssh_target import PUBLIC_NAMES, SERIAL_HOSTS, SERIAL_PORT, Target, Targets
from bakehouse.cli.terminal import CommandFailed, note, print_text
from bakehouse.domain.public_names import address_of

NamedArgument = Annotated[str, typer.Argument(help="The instance's id, or its public name.")]
UserOption = Annotated[str | None, typer.Option("--user", "-l", help="Whom to log in as.")]
IdentityOption = Annotated[Path | None, typer.Option("--identity", "-i", help="The private key's file.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until it answers: it may still boot.")]
ViaOption = Annotated[str | None, typer.Option("--via", help="An instance to go through, for one that is private.")]

_INSTANCE_ID: Final = re.compile(r"i-[0-9a-f]{17}")
#: An operand of scp that is on an instance: `[USER@]i-...:PATH`, or with a public name.
_REMOTE: Final = re.compile(r"(?:[^/@:]+@)?(i-[0-9a-f]{17}|ec2-[\d-]+\.[a-z0-9.-]+):")
_FORWARD: Final = re.compile(r"(?:(\d+):)?(?:([^:\s]+):)?(\d+)")
_PORT_MAX: Final = 65_535

#: What the line in ~/.ssh/config is known by.
_MARK: Final = "# bakehouse: `ssh i-...` reaches instances"


def ssh(
    ctx: typer.Context,
    instance_id: NamedArgument,
    home: HomeOption = None,
    user: UserOption = None,
    identity: IdentityOption = None,
    via: ViaOption = None,
    wait: WaitOption = False,
) -> None:
    """Connect to an instance; what follows `--` goes to ssh."""
    target = _target(home, instance_id, user=user, identity=identity, via=via, wait=wait)
    _become(["ssh", *target.arguments(), instance_id, *ctx.args])


def scp(
    ctx: typer.Context,
    paths: Annotated[list[str], typer.Argument(help="Files from and to; one on an instance is `i-...:PATH`.")],
    home: HomeOption = None,
    user: UserOption = None,
    identity: IdentityOption = None,
    via: ViaOption = None,
    wait: WaitOption = False,
) -> None:
    """Copy files to or from an instance; other options go to scp, such as `-r` for whole folders."""
    operands = [*paths, *ctx.args]
    named = {found[1] for operand in operands if (found := _REMOTE.match(operand))}
    if len(named) != 1:
        which = "no instance" if not named else "several instances"
        raise CommandFailed(f"{which} among `{' '.join(operands)}`", "name one as `i-...:PATH`, and files of this host")
    target = _target(home, named.pop(), user=user, identity=identity, via=via, wait=wait)
    _become(["scp", *target.arguments(), *operands])


def forward(
    instance_id: NamedArgument,
    ports: Annotated[list[str], typer.Argument(help="LOCAL:PORT, PORT, or LOCAL:HOST:PORT for a host that it sees.")],
    home: HomeOption = None,
    user: UserOption = None,
    identity: IdentityOption = None,
    via: ViaOption = None,
    wait: WaitOption = False,
) -> None:
    """Let ports of 127.0.0.1 lead to ports of an instance, whatever its groups allow, until interrupted."""
    forwards = [_forward(text) for text in ports]
    target = _target(home, instance_id, user=user, identity=identity, via=via, wait=wait)
    for local, there, port in forwards:
        note(f"127.0.0.1:{local} leads to {instance_id if there == 'localhost' else there}:{port}; Ctrl-C ends it")
    ways = [word for local, there, port in forwards for word in ("-L", f"127.0.0.1:{local}:{there}:{port}")]
    _become(["ssh", *target.arguments(), "-o", "ExitOnForwardFailure=yes", "-N", *ways, instance_id])


def ssh_config(
    instance_id: Annotated[
        str | None,
        typer.Argument(
            help="Write down where this one is, or with `.port0` its serial console; ssh itself asks for it."
        ),
    ] = None,
    home: HomeOption = None,
    install: Annotated[bool, typer.Option("--install", help="Include it in ~/.ssh/config.")] = False,
) -> None:
    """Print what makes plain `ssh i-...`, `scp`, `rsync` and others reach instances, or install it."""
    where = home_of(home)
    if instance_id is not None:
        reached = instance_id.removesuffix(SERIAL_PORT)
        if not _INSTANCE_ID.fullmatch(reached) and address_of(instance_id) is None:
            raise CommandFailed(
                f"`{instance_id}` is no instance's id or public name",
                "see which there are: `aws ec2 describe-instances`",
            )
        with Targets.of_home(home_of(home)) as targets:
            write = targets.write_block if reached == instance_id else targets.write_serial_block
            write(reached)
        return
    snippet = _snippet(where)
    if not install:
        print_text(snippet.rstrip("\n"))
        return
    path = where / "ssh_config"
    path.write_text(snippet)
    _include(Path.home() / ".ssh" / "config", path)
    note("try it: ssh i-...")


def _target(
    home: Path | None, named: str, *, user: str | None, identity: Path | None, via: str | None, wait: bool
) -> Target:
    """Find out how to reach an instance. What waits looks again: a guest that boots makes its host keys first."""
    with Targets.of_home(home_of(home)) as targets:
        target = targets.find(named, user=user, identity=identity, via=via)
        if not wait:
            return target
        from bakehouse.cli.ssh_banner import wait_for_banner

        wait_for_banner(target)
        return targets.find(named, user=user, identity=identity, via=via)


def _forward(text: str) -> tuple[int, str, int]:
    """Return the local port, the host as the instance knows it, and its port."""
    found = _FORWARD.fullmatch(text)
    if found is None or not all(0 < int(port) <= _PORT_MAX for port in (found[1] or found[3], found[3])):
        raise CommandFailed(f"`{text}` names no ports", "write LOCAL:PORT, as in `8080:80`")
    return int(found[1] or found[3]), found[2] or "localhost", int(found[3])


def _snippet(home: Path) -> str:
    """Return what ssh reads: a question to us, which writes down one instance, and what was written down.

    ssh carries `Match exec` out when it comes to that line, so what it includes after it is up to date.
    """
    ask = shlex.join([sys.executable, "-m", "bakehouse", "ssh-config", "--home", str(home)])
    return (
        f"# Written by bakehouse ssh-config for the home {home}.\n"
        f'Match host i-?????????????????,{PUBLIC_NAMES} exec "{ask} %h"\n'
        f'Match host {SERIAL_HOSTS} user i-?????????????????{SERIAL_PORT} exec "{ask} %r"\n'
        "Match all\n"
        f'  Include "{home}/ssh/*.conf"\n'
    )


def _include(config: Path, path: Path) -> None:
    """Include a file at the begin of ssh's own, where no `Host` narrows it; twice does nothing."""
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.touch(mode=0o600)
    line = f'Include "{path}"'
    before = config.read_text()
    if line in before.splitlines():
        return
    new = config.with_name("config.bakehouse")
    new.touch(mode=0o600)
    new.write_text(f"{_MARK}\n{line}\n\n{before}")
    new.replace(config.resolve())


def _become(arguments: list[str]) -> None:
    """Give the terminal to another program."""
    try:
        os.execvp(arguments[0], arguments)  # noqa: S606 - the terminal becomes ssh's
    except FileNotFoundError as err:
        raise CommandFailed(f"`{arguments[0]}` is not installed", "apt-get install openssh-client") from err
