"""What `--help` says."""

import shlex
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from bakehouse.cli.described import EXAMPLES
from bakehouse.cli.main import app

ROOT: Any = typer.main.get_command(app)


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and what is left of them."""
    found = ROOT
    while words and words[0] in getattr(found, "commands", {}):
        found, words = found.commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines if line.startswith("bake")]
)
def test_an_example_is_of_its_command_and_can_be_typed(name: str, line: str) -> None:
    found, arguments = command_of(shlex.split(line)[1:])
    wanted, _ = command_of(name.split())

    assert found is wanted
    # A file that an example names need not be here.
    rest = [word for word in arguments if word not in ("--user-data", "web.sh")]
    assert found.make_context(name, rest).params


@pytest.mark.parametrize("name", sorted({"launch", "image build", "spot interrupt"}))
def test_help_shows_examples_line_by_line(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "40"}).stdout

    assert [f"    {line}" for line in EXAMPLES[name]] == shown.rstrip().splitlines()[-len(EXAMPLES[name]) :]


def test_a_list_of_commands_cuts_no_sentence_short() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout.partition("Commands:")[2]

    assert '`eval "$(bakehouse env)"`.' in " ".join(shown.split())
    assert "..." not in shown.replace("i-...", "")
