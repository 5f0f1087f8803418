"""The command line where no server runs: what it says then, and of homes and settings that are of no use."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.commands import Run, bakehouse


def test_a_failure_is_said_on_standard_error_with_the_next_step(tmp_path: Path) -> None:
    failed = bakehouse(tmp_path / "none", "status")

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr == f"error: no server runs with `{tmp_path / 'none'}`\n\nhint: start one: `bakehouse up`\n"


def test_a_disk_too_full_for_the_answer_is_named_without_a_traceback() -> None:
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            [sys.executable, "-m", "bakehouse", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert failed.returncode == 1
    assert failed.stderr.startswith("error: [Errno 28] No space left on device\n\nhint: ")


def test_credentials_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials.json").write_text("{")

    failure = Run(tmp_path, monkeypatch).failure("env")

    assert f"`{tmp_path}/credentials.json` is damaged" in failure.message
    assert "`bakehouse down` and `bakehouse up`" in failure.hint


@pytest.mark.parametrize("command", [("image", "build", "minimal"), ("image", "import", "disk", "--name", "disk")])
def test_what_takes_long_asks_for_the_server_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (tmp_path / "credentials.json").write_text("{}")

    assert "no server runs with" in Run(tmp_path, monkeypatch).failure(*command).message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["env"], "no server has run with"),
        (["status"], "no server runs with"),
        (["account", "list"], "no server runs with"),
        (["image", "list"], "no server has run with"),
        (["logs"], "there is no"),
    ],
)
def test_without_a_server_the_next_step_is_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    failure = Run(tmp_path / "none", monkeypatch).failure(*arguments)

    assert message in failure.message
    assert "`bakehouse up`" in failure.hint


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("env", "no server has run with"),
        ("status", "no server runs with"),
        ("up", "cannot use the home"),
        ("serve", "cannot use the home"),
    ],
)
def test_a_home_that_is_a_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, message: str
) -> None:
    (tmp_path / "file").write_text("")

    assert message in Run(tmp_path / "file", monkeypatch).failure(command).message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BAKEHOUSE_PORT", "http"),
        ("BAKEHOUSE_PORT", "70000"),
        ("BAKEHOUSE_NETWORK", "wifi"),
        ("BAKEHOUSE_REGION", "mars-north-1"),
        ("BAKEHOUSE_STOP_TIMEOUT_S", "soon"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    failure = Run(tmp_path / "home", monkeypatch).failure("serve", "--simulate")

    assert value in failure.message


def test_settings_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.json").write_text("{")

    failure = Run(tmp_path, monkeypatch).failure("serve", "--simulate")

    assert "settings.json" in failure.message


def test_down_without_a_server_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Run(tmp_path / "home", monkeypatch)("down").exception is None
