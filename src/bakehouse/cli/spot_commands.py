"""Commands on spot instances: interrupt."""

from typing import Annotated

import typer

from bakehouse.cli.described import described
from bakehouse.cli.home import HomeOption, InstanceArgument, control, home_of
from bakehouse.cli.terminal import note, print_text

spot = typer.Typer(help="Spot instances.", no_args_is_help=True)


@spot.callback()
def _group() -> None:
    """Keep `interrupt` a command of its group, though it is the only one."""


@spot.command(**described("spot interrupt"))
def interrupt(
    instance_id: InstanceArgument,
    home: HomeOption = None,
    in_s: Annotated[
        float | None, typer.Option("--in", help="Seconds from the notice to the end; two minutes if left out.", min=0)
    ] = None,
) -> None:
    """Tell a spot instance's guest that it is taken away, and do so when the time has come; print that time."""
    with control(home_of(home)) as server:
        told = server.post(f"/instances/{instance_id}/interruption", {"in_s": in_s})
    print_text(told["at"])
    note("the guest reads it at http://169.254.169.254/latest/meta-data/spot/instance-action")
