"""Commands of `bakehouse`, as a program and in the process of the test, which is quicker."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bakehouse.cli.main import app
from bakehouse.cli.terminal import CommandFailed


def bakehouse(home: Path, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the program as a person does, with a home."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "BAKEHOUSE_"))}
    return subprocess.run(
        [sys.executable, "-m", "bakehouse", *arguments],
        env=environment | {"BAKEHOUSE_HOME": str(home), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Commands:
    """Somebody at a terminal; each test says of which home, and what commands find there."""

    #: What every command line begins with.
    prefix: tuple[str, ...] = ()

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*self.prefix, *arguments])

    def succeeded(self, *arguments: str) -> Result:
        result = self(*arguments)
        assert result.exception is None, result.exception
        return result

    def data(self, *arguments: str) -> str:
        """Return what a command that succeeds writes to standard output."""
        return self.succeeded(*arguments).stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.data(*arguments, "--output", "json"))

    def failure(self, *arguments: str) -> CommandFailed:
        result = self(*arguments)
        assert isinstance(result.exception, CommandFailed), result
        return result.exception


class Run(Commands):
    """Runs commands with a home."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BAKEHOUSE_HOME", str(home))
        self.home = home
