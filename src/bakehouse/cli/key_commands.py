"""Commands on the keys that encrypt volumes: create, list."""

from collections.abc import Mapping
from typing import Annotated

import typer

from bakehouse.cli.described import described
from bakehouse.cli.home import HomeOption, control, credentials_of, home_of
from bakehouse.cli.terminal import Output, OutputOption, note, print_json, print_rows, print_text

keys = typer.Typer(help="Keys that encrypt volumes and snapshots.", no_args_is_help=True)

AccountOption = Annotated[str | None, typer.Option("--account", help="Account id; the first account by default.")]
RegionOption = Annotated[str | None, typer.Option("--region", help="The home region by default.")]


@keys.command(**described("key create"))
def create_key(
    alias: Annotated[str | None, typer.Argument(help="A name for it: `alias/NAME` stands for the key then.")] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    account: AccountOption = None,
    region: RegionOption = None,
    home: HomeOption = None,
) -> None:
    """Make a key and print its ARN, for KmsKeyId in requests."""
    path = home_of(home)
    with control(path) as server:
        wanted = {"description": description, **({} if alias is None else {"alias": alias})}
        made = server.post(_keys_of(credentials_of(path), account, region), wanted)
    print_text(made["arn"])
    note("keep the key store apart from the home, and a copy of it: without the key nothing under it can be read")


@keys.command(**described("key list"))
def list_keys(
    account: AccountOption = None,
    region: RegionOption = None,
    home: HomeOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the keys of an account in a region."""
    path = home_of(home)
    with control(path) as server:
        found = server.get(_keys_of(credentials_of(path), account, region))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [{**key, "aliases": " ".join(key["aliases"])} for key in found]
    print_rows(output, rows, {"arn": "KEY", "aliases": "ALIASES", "description": "DESCRIPTION"})


def _keys_of(credentials: Mapping[str, str], account: str | None, region: str | None) -> str:
    return f"/keys/{account or credentials['account_id']}/{region or credentials['region']}"
