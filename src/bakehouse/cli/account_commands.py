"""Commands on accounts and credentials: account, configure, env."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from bakehouse.cli.aws_profile import write_section
from bakehouse.cli.described import described
from bakehouse.cli.home import HomeOption, control, credentials_of, home_of
from bakehouse.cli.terminal import Output, OutputOption, note, print_json, print_rows, print_text

accounts = typer.Typer(help="Accounts and their access keys.", no_args_is_help=True)

PROFILE: Final = "bakehouse"


@accounts.command(**described("account create"))
def create_account(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    home: HomeOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make an account and print its access key."""
    with control(home_of(home)) as server:
        _print_accounts(output, [server.post("/accounts", {"name": name})])


@accounts.command(**described("account list"))
def list_accounts(home: HomeOption = None, output: OutputOption = Output.TEXT) -> None:
    """List the accounts with their access keys."""
    with control(home_of(home)) as server:
        _print_accounts(output, server.get("/accounts"))


def env(
    home: HomeOption = None, as_json: Annotated[bool, typer.Option("--json", help="An object instead.")] = False
) -> None:
    """Print the variables that point AWS clients here: `eval "$(bakehouse env)"`."""
    credentials = credentials_of(home_of(home))
    variables = {
        "AWS_ENDPOINT_URL": credentials["endpoint_url"],
        "AWS_ACCESS_KEY_ID": credentials["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": credentials["secret_access_key"],
        "AWS_DEFAULT_REGION": credentials["region"],
    }
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        print_text(f"export {name}={value}")


def configure(
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Write the AWS profile `bakehouse`; other profiles are left as they are."""
    credentials = credentials_of(home_of(home))
    config = Path(os.environ.get("AWS_CONFIG_FILE") or Path.home() / ".aws" / "config")
    secrets = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    if not yes:
        typer.confirm(f"Write the profile `{PROFILE}` into {config} and {secrets}?", abort=True, err=True)
    write_section(
        config,
        f"profile {PROFILE}",
        {"region": credentials["region"], "endpoint_url": credentials["endpoint_url"], "output": "json"},
    )
    write_section(
        secrets,
        PROFILE,
        {
            "aws_access_key_id": credentials["access_key_id"],
            "aws_secret_access_key": credentials["secret_access_key"],
        },
    )
    note(f"try it: aws --profile {PROFILE} ec2 describe-images --owners self")


def _print_accounts(output: Output, found: list[dict[str, object]]) -> None:
    if output is Output.JSON:
        print_json(found)
        return
    rows = [{**account, **key} for account in found for key in _keys(account)]
    columns = {
        "account_id": "ACCOUNT",
        "name": "NAME",
        "access_key_id": "ACCESS KEY",
        "secret_access_key": "SECRET ACCESS KEY",
    }
    print_rows(output, rows, columns)


def _keys(account: Mapping[str, object]) -> list[dict[str, object]]:
    keys = account["access_keys"]
    return list(keys) if isinstance(keys, list) else []
