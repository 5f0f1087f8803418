"""What commands say: data on standard output, talk on standard error, errors with the next step."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Output(StrEnum):
    """How data is printed."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print data.")]


class CommandFailed(Exception):
    """A command could not do its work: what happened, to what, and what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def print_text(text: str) -> None:
    """Print data for people and pipes alike, unadorned."""
    typer.echo(text)


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print data as JSON."""
    typer.echo(json.dumps(value, indent=2, default=str))


def print_rows(output: Output, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Print rows as a table or as JSON. `columns` gives the heading of each member that the table shows."""
    if output is Output.JSON:
        print_json(rows)
        return
    # Aligned by hand: a library's table fits itself to a terminal and would cut ids short, in pipes too.
    lines = [list(columns.values()), *([str(row.get(member, "")) for member in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        print_text("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_facts(output: Output, facts: Mapping[str, Any]) -> None:
    """Print named values, one a line, or as a JSON object."""
    if output is Output.JSON:
        print_json(facts)
        return
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {_plain(value)}")


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{number} {name}" for name, number in value.items()) or "none"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)


@cache
def _talk() -> "Console":
    """Return standard error, for progress, notes and errors. Rich obeys NO_COLOR and plain terminals by itself."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Say something beside the data."""
    typer.echo(text, err=True)


def fail(error: CommandFailed) -> None:
    """Say what went wrong, and the next step."""
    from rich.markup import escape

    talk = _talk()
    talk.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.hint:
        talk.print(f"\n[bold]hint:[/] {escape(error.hint)}")


class ProgressBar:
    """One bar that is moved by fractions."""

    def __init__(self, progress: "Progress", task: "TaskID") -> None:
        self._progress = progress
        self._task = task

    def move(self, fraction: float, words: str | None = None) -> None:
        """Show how far it is, from 0 to 1, and doing what."""
        self._progress.update(self._task, completed=fraction)
        if words is not None:
            self._progress.update(self._task, description=words)


@contextmanager
def progress_bar(words: str) -> Iterator[ProgressBar]:
    """Show a bar on standard error for as long as the block lasts; nothing where no terminal is."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    talk = _talk()
    with Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal) as progress:
        yield ProgressBar(progress, progress.add_task(words, total=1.0))
