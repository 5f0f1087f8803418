"""Commands on scheduled events: schedule, cancel."""

from typing import Annotated

import typer

from bakehouse.cli.described import described
from bakehouse.cli.home import HomeOption, InstanceArgument, control, home_of
from bakehouse.cli.terminal import note, print_text

events = typer.Typer(help="Scheduled events of instances.", no_args_is_help=True)


@events.command(**described("event schedule"))
def schedule(
    instance_id: InstanceArgument,
    code: Annotated[
        str,
        typer.Argument(
            help="instance-reboot, system-reboot, system-maintenance, instance-stop or instance-retirement."
        ),
    ],
    home: HomeOption = None,
    in_s: Annotated[float, typer.Option("--in", help="Seconds until it begins.", min=0)] = 14 * 24 * 3600,
) -> None:
    """Announce an event to an instance's owner and guest, and carry it out when its time has come; print its id."""
    with control(home_of(home)) as server:
        event = server.post(f"/instances/{instance_id}/events", {"code": code, "in_s": in_s})
    print_text(event["event_id"])
    note(f"it begins at {event['not_before']}; the guest reads it at events/maintenance/scheduled of its metadata")


@events.command(**described("event cancel"))
def cancel(
    instance_id: InstanceArgument,
    event_id: Annotated[str, typer.Argument(help="As `schedule` printed it.")],
    home: HomeOption = None,
) -> None:
    """Take an announced event back."""
    with control(home_of(home)) as server:
        server.post(f"/instances/{instance_id}/events/{event_id}/cancel", {})
    note("canceled")
