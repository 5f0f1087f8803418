"""The command `console`: what a guest writes to its serial console, and what it reads there."""

import sys
import time
from typing import Annotated, Final

import typer

from bakehouse.cli.home import HomeOption, InstanceArgument, control, credentials_of, home_of
from bakehouse.cli.terminal import CommandFailed, note, print_text

_POLL_S: Final = 0.3
_URL_LIFETIME_S: Final = 15 * 60


def console(
    instance_id: InstanceArgument,
    home: HomeOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing.")] = False,
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Connect this terminal, both ways.")] = False,
    escape: Annotated[str, typer.Option(help="The escape key of an interactive session.")] = "^]",
    url: Annotated[bool, typer.Option("--url", help="Print a URL that opens it in a browser, for 15 minutes.")] = False,
    sysrq: Annotated[str | None, typer.Option(metavar="KEY", help="Press SysRq and this key, then print.")] = None,
) -> None:
    """Print what an instance wrote to its serial console, or connect to it."""
    if sum((interactive, url, follow or sysrq is not None)) > 1:
        raise CommandFailed("`--interactive`, `--url` and the others exclude each other", "choose one of them")
    if interactive:
        _interact(instance_id, home, escape)
        return
    if url:
        print_text(_url(instance_id, home))
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


def _url(instance_id: str, home: HomeOption) -> str:
    from bakehouse.cli.client import ec2_client, serial_console_url

    where = home_of(home)
    credentials = credentials_of(where)
    client = ec2_client(where)
    client.describe_instances(InstanceIds=[instance_id])
    if not client.get_serial_console_access_status()["SerialConsoleAccessEnabled"]:
        raise CommandFailed(
            f"serial console access is disabled for account {credentials['account_id']} in {credentials['region']}",
            "enable it: `aws ec2 enable-serial-console-access`",
        )
    return serial_console_url(credentials, instance_id, _URL_LIFETIME_S)


def _interact(instance_id: str, home: HomeOption, escape: str) -> None:
    from bakehouse.cli.escape_keys import InvalidEscapeKey, escape_byte
    from bakehouse.cli.serial_session import converse

    try:
        key = escape_byte(escape)
    except InvalidEscapeKey as err:
        raise CommandFailed(f"there is no key `{escape}`", "such as `--escape ^A`, or one character") from err
    note(converse(home_of(home), instance_id, key))
