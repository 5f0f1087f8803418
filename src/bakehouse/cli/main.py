"""The `bakehouse` command line: its commands by name, and how it fails."""

import sys
from typing import Annotated

import typer

from bakehouse.cli import (
    account_commands,
    console_commands,
    event_commands,
    image_commands,
    instance_commands,
    key_commands,
    name_commands,
    server_commands,
    spot_commands,
    ssh_commands,
    storage_commands,
)
from bakehouse.cli.described import described
from bakehouse.cli.terminal import CommandFailed, fail

app = typer.Typer(
    name="bakehouse",
    help="EC2 on your own machine: the EC2 API, answered with real virtual machines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    server_commands.up,
    server_commands.down,
    server_commands.status,
    server_commands.doctor,
    server_commands.serve,
    server_commands.logs,
    account_commands.configure,
    account_commands.env,
    instance_commands.launch,
    console_commands.console,
    name_commands.names,
):
    app.command(**described(command.__name__))(command)
app.command(**described("ssh"), context_settings={"allow_extra_args": True})(ssh_commands.ssh)
app.command(**described("scp"), context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    ssh_commands.scp
)
app.command(**described("forward"))(ssh_commands.forward)
app.command(**described("ssh-config"))(ssh_commands.ssh_config)
app.add_typer(image_commands.images, name="image")
app.add_typer(account_commands.accounts, name="account")
app.add_typer(key_commands.keys, name="key")
app.add_typer(spot_commands.spot, name="spot")
app.add_typer(storage_commands.storage, name="storage")
app.add_typer(event_commands.events, name="event")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("bakehouse"))
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line; a failure is said in one line with its next step, and ends with status 1."""
    try:
        app()
    except CommandFailed as err:
        fail(err)
        sys.exit(1)
    except OSError as err:  # the terminal's, or of a file that a command was given
        fail(CommandFailed(str(err), "what this host lacks: `bakehouse doctor`"))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
