"""How commands print data."""

import json

import pytest

from bakehouse.cli.terminal import Output, print_rows, progress_bar

#: Longer together than the 80 columns of a terminal, or of what stands for one in a pipe.
ROWS = [
    {"account_id": "258053938600", "secret": "x" * 40, "note": "[bold]y[/]"},
    {"account_id": "258053938601", "secret": "z" * 40, "note": ""},
]
COLUMNS = {"account_id": "ACCOUNT", "secret": "SECRET ACCESS KEY", "note": "NOTE"}


def test_a_table_is_whole_however_narrow_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(Output.TEXT, ROWS, COLUMNS)

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["ACCOUNT", "SECRET", "ACCESS", "KEY", "NOTE"],
        ["258053938600", "x" * 40, "[bold]y[/]"],
        ["258053938601", "z" * 40],
    ]


def test_rows_as_json_have_every_member(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(Output.JSON, ROWS, {"account_id": "ACCOUNT"})

    assert json.loads(capsys.readouterr().out) == ROWS


def test_a_progress_bar_says_nothing_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("baking") as bar:
        bar.move(0.5, "still baking")

    assert capsys.readouterr().err == ""
