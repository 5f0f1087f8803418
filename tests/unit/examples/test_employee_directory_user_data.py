"""What an instance is given at launch."""

import os
import re
import subprocess
import sys
from pathlib import Path

import client
import pytest
import user_data

from .conftest import EXAMPLE, NO_METADATA

HOME = "/opt/employee-directory"


@pytest.mark.parametrize("document", [user_data.full(), user_data.minimal()], ids=["full", "minimal"])
def test_user_data_is_a_small_ascii_script(document: bytes) -> None:
    assert document.startswith(b"#!/bin/sh\n")
    assert document.isascii()
    assert len(document) <= 16 * 1024


def test_user_data_is_the_same_each_time() -> None:
    assert (user_data.full(), user_data.minimal()) == (user_data.full(), user_data.minimal())


def unpacked(document: bytes, directory: Path) -> Path:
    """Run the unpacking part of the full variant's user data with another target."""
    script = document.decode().replace(HOME, str(directory)).replace("exec sh", "exit 0; sh")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["sh"], input=script, text=True, check=True, env=environment)
    return directory


def test_the_unpacked_application_works(tmp_path: Path, unused_tcp_port: int) -> None:
    home = unpacked(user_data.full(), tmp_path / "home")
    options = ["--state", str(tmp_path / "state"), "--port", str(unused_tcp_port), "--metadata", NO_METADATA]
    command = [sys.executable, "-m", "employee_directory", *options]

    with subprocess.Popen(command, cwd=home, env={}, stderr=subprocess.DEVNULL) as server:
        try:
            base_url = f"http://127.0.0.1:{unused_tcp_port}"
            client.wait_until_healthy(base_url, deadline_s=30)
            client.add_employee(base_url, name="Ada", job_title="Engines")

            assert client.employees(base_url)[0]["name"] == "Ada"
        finally:
            server.terminate()


def test_user_data_carries_every_file_but_comments(tmp_path: Path) -> None:
    home = unpacked(user_data.full(), tmp_path)

    unit = (home / "system" / "employee-directory.service").read_text()
    original = (EXAMPLE / "system" / "employee-directory.service").read_text()
    assert unit == re.sub(r"(?m)^# .*\n", "", original)


def test_an_application_that_outgrows_user_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_data, "LIMIT_BYTES", 1000)

    with pytest.raises(user_data.UserDataTooLarge):
        user_data.full()
