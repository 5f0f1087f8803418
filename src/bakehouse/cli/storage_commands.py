"""Commands on the host's storage: what it costs, whether it is whole."""

from typing import Annotated, Any, Final

import typer

from bakehouse.cli.described import described
from bakehouse.cli.home import HomeOption, control, home_of, with_home
from bakehouse.cli.next_steps import next_step
from bakehouse.cli.terminal import CommandFailed, Output, OutputOption, note, print_json, print_rows, progress_bar

storage = typer.Typer(help="See what is stored, and whether it is whole.", no_args_is_help=True)

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024


@storage.command(**described("storage usage"))
def usage(home: HomeOption = None, output: OutputOption = Output.TEXT) -> None:
    """Say what each image, snapshot and volume takes on the disk: by itself, and shared with others."""
    with control(home_of(home)) as server:
        found = server.get("/storage/usage")
    if output is Output.JSON:
        print_json(found)
        return
    rows = [
        {**row, "exclusive": size(row["exclusive_bytes"]), "shared": size(row["shared_bytes"])}
        for row in found["resources"]
    ]
    columns = {"id": "ID", "kind": "KIND", "exclusive": "EXCLUSIVE", "shared": "SHARED", "layers": "LAYERS"}
    print_rows(output, rows, columns)
    note(f"all layers together: {size(found['total_bytes'])}; to be removed: {size(found['unneeded_bytes'])}")


@storage.command(**described("storage check"))
def check(
    home: HomeOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what nobody owns, and mend what concerns no data.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Read everything that is stored and verify it; status 1 if something is wrong and was not repaired."""
    with control(home_of(home)) as server, progress_bar("checking the storage") as bar:
        found: dict[str, Any] = {}
        for line in server.post_lines("/storage/check", {"repair": repair}):
            if "fraction" in line:
                bar.move(line["fraction"])
            else:
                found = line
    if not found:
        raise CommandFailed(
            "the server ended before it was done", f"its log: `{with_home('bakehouse logs', home_of(home))}`"
        )
    if output is Output.JSON:
        print_json(found)
    elif found["findings"]:
        _print_findings(found["findings"])
    looked = f"{found['layers']} layers, {size(found['bytes_read'])} read, {len(found['in_use'])} in use"
    note(f"{looked}: {_verdict(found)}")
    if not found["is_whole"]:
        raise typer.Exit(1)


@storage.command(**described("storage flatten"))
def flatten(
    volume_id: Annotated[str, typer.Argument(help="The volume, attached or not.")], home: HomeOption = None
) -> None:
    """Copy a volume's data into one file, in order, so that long reads are as quick as of a raw one."""
    answer: dict[str, Any] = {}
    with control(home_of(home)) as server:
        for line in server.post_lines("/storage/flatten", {"volume_id": volume_id}):
            answer = line
    if "layers" not in answer:
        log = f"its log: `{with_home('bakehouse logs', home_of(home))}`"
        raise CommandFailed(
            answer.get("message", "the server ended before it was done"),
            next_step(answer["error"]) if "error" in answer else log,
        )
    layers = answer["layers"]
    note(f"{volume_id} is read through {layers} {'file' if layers == 1 else 'files'}; what snapshots need stays beside")


def size(size_bytes: int) -> str:
    """Write a number of bytes for people."""
    amount, unit = float(size_bytes), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"


def _print_findings(findings: list[dict[str, Any]]) -> None:
    rows = [
        {
            "subject": finding["subject"],
            "state": "repaired" if finding["repaired"] else finding["severity"],
            "problem": finding["problem"],
            "affects": ", ".join(finding["affects"]),
        }
        for finding in findings
    ]
    columns = {"subject": "SUBJECT", "state": "STATE", "problem": "PROBLEM", "affects": "AFFECTS"}
    print_rows(Output.TEXT, rows, columns)


def _verdict(found: dict[str, Any]) -> str:
    lost = sum(finding["severity"] == "lost" for finding in found["findings"])
    if lost:
        return f"{lost} cannot be read as written; restore a backup of the home, or delete what they affect"
    if not found["is_whole"]:
        return "all data is there; `bakehouse storage check --repair` mends the rest"
    return "all is well"
