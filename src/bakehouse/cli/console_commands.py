"""The command `console`: what a guest writes to its serial console, and what it reads there."""

import sys
import time
from typing import Annotated, Final

import typer

from bakehouse.cli.home import HomeOption, control, home_of
from bakehouse.cli.terminal import CommandFailed, note

_POLL_S: Final = 0.3


def console(
    instance_id: str,
    home: HomeOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing.")] = False,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Connect this terminal, both ways.")] = False,
    escape: Annotated[str, typer.Option(help="The escape key of an interactive session.")] = "^]",
    sysrq: Annotated[str | None, typer.Option(metavar="KEY", help="Press SysRq and this key, then print.")] = None,
) -> None:
    """Print what an instance wrote to its serial console, or connect to it."""
    if interactive:
        _interact(instance_id, home, escape)
        return
    shown = 0
    with control(home_of(home)) as server:
        if sysrq is not None:
            server.post(f"/instances/{instance_id}/sysrq", {"key": sysrq})
        while True:
            text = server.get_bytes(f"/instances/{instance_id}/console")
            sys.stdout.buffer.write(text[shown:])
            sys.stdout.buffer.flush()
            shown = len(text)
            if not follow:
                return
            time.sleep(_POLL_S)


def _interact(instance_id: str, home: HomeOption, escape: str) -> None:
    from bakehouse.cli.escape_keys import InvalidEscapeKey, escape_byte
    from bakehouse.cli.serial_session import converse

    try:
        key = escape_byte(escape)
    except InvalidEscapeKey as err:
        raise CommandFailed(f"there is no key `{escape}`", "such as `--escape ^A`, or one character") from err
    note(converse(home_of(home), instance_id, key))
