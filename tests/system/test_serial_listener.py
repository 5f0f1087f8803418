"""Where a server answers SSH to serial consoles."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands import Run

from bakehouse.server.serial_listener import serial_console_socket


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody has."""
    with serial_console_socket(0) as listener:
        yield listener.getsockname()[1]


def test_servers_beside_each_other_have_ports_of_their_own() -> None:
    with serial_console_socket(None) as first, serial_console_socket(None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_port_that_was_chosen_and_is_taken_is_said(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("BAKEHOUSE_SERIAL_CONSOLE_PORT", str(taken))

    failure = Run(tmp_path / "home", monkeypatch).failure(command, "--simulate", "--port", "0")

    assert f"cannot serve serial consoles on port {taken}: Address already in use" in failure.message


def test_a_host_key_that_is_damaged_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "serial-console.key").write_text("damaged")

    failure = Run(home, monkeypatch).failure("serve", "--simulate", "--port", "0")

    assert "serial-console.key" in failure.message
    assert (home / "serial-console.key").read_text() == "damaged"


def test_a_server_starts_without_what_speaks_ssh() -> None:
    code = "import json, sys, bakehouse.bootstrap.server; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)

    assert "asyncssh" not in json.loads(done.stdout)
