"""`bakehouse console` on a terminal of the test's own, against a server with simulated machines."""

import signal
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from tests.commands import bakehouse
from tests.system.test_cli import client
from tests.terminal import ESCAPE, terminal


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a simulating server that runs in the background."""
    home = tmp_path_factory.mktemp("home") / "home"
    started = bakehouse(home, "up", "--simulate", "--port", "0")
    assert started.returncode == 0, started.stderr
    yield home
    assert bakehouse(home, "down").returncode == 0


@pytest.fixture(scope="module")
def image_id(home: Path) -> str:
    disk = home / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    return bakehouse(home, "image", "import", str(disk), "--name", "blank").stdout.strip()


@pytest.fixture(scope="module")
def instance_id(home: Path, image_id: str) -> str:
    return bakehouse(home, "launch", image_id).stdout.strip()


@pytest.fixture
def ending_id(home: Path, image_id: str) -> str:
    """An instance of the test's own, to be stopped."""
    return bakehouse(home, "launch", image_id).stdout.strip()


def test_a_session_shows_what_was_written_and_says_how_to_leave(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")

        shown.wait_for(b"Ctrl-] d detaches")


def test_the_guest_reads_what_is_typed(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")
        shown.type(b"whoever")

        shown.wait_for(b"whoever")


def test_two_terminals_share_a_console(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as first, terminal(home, "-i", instance_id) as second:
        first.wait_for(b"login: ")
        second.wait_for(b"login: ")
        first.type(b"from the first")

        second.wait_for(b"from the first")


def test_detaching_gives_the_terminal_back(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")
        shown.type(ESCAPE + b"d")

        assert shown.end() == 0
        assert shown.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(home: Path, instance_id: str, number: signal.Signals) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")
        shown.process.send_signal(number)

        shown.end()
        assert shown.is_as_before()


def test_another_escape_key_leaves_the_usual_one_to_the_guest(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id, "--escape", "^A") as shown:
        shown.wait_for(b"Ctrl-A d detaches")
        shown.wait_for(b"login: ")
        shown.type(ESCAPE + b"d")
        shown.wait_for(ESCAPE + b"d")
        shown.type(b"\x01d")

        assert shown.end() == 0


def test_a_break_and_a_key_reach_the_guest(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")
        shown.type(ESCAPE + b"sh")

        shown.wait_for(b"\0h")


def test_sysrq_is_pressed_without_a_session(home: Path, instance_id: str) -> None:
    assert "\0w" in bakehouse(home, "console", instance_id, "--sysrq", "w").stdout


def test_a_key_that_sysrq_does_not_have_is_refused(home: Path, instance_id: str) -> None:
    assert "one letter" in bakehouse(home, "console", instance_id, "--sysrq", "xx").stderr


def test_there_is_no_url_while_access_is_disabled(home: Path, instance_id: str) -> None:
    client(home).disable_serial_console_access()

    assert "enable-serial-console-access" in bakehouse(home, "console", "--url", instance_id).stderr


def test_a_url_opens_the_console(home: Path, instance_id: str) -> None:
    client(home).enable_serial_console_access()

    url = bakehouse(home, "console", "--url", instance_id).stdout.strip()

    assert httpx.get(url).status_code == HTTPStatus.OK


def test_a_session_outlives_the_server(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")
        shown.type(b"before")
        shown.wait_for(b"before")
        assert bakehouse(home, "down", "--keep-machines").returncode == 0
        shown.wait_for(b"the server is gone")
        assert bakehouse(home, "up").returncode == 0
        shown.wait_for(b"the server is back")
        shown.type(b"after")

        shown.wait_for(b"after")
        assert shown.screen.count(b"before") == 1


def test_a_session_can_be_left_while_the_server_is_away(home: Path, instance_id: str) -> None:
    with terminal(home, "-i", instance_id) as shown:
        shown.wait_for(b"login: ")
        assert bakehouse(home, "down", "--keep-machines").returncode == 0
        shown.wait_for(b"the server is gone")
        shown.type(ESCAPE + b"d")

        assert shown.end() == 0
        assert bakehouse(home, "up").returncode == 0


def test_there_is_no_session_with_an_instance_that_does_not_exist(home: Path) -> None:
    failed = bakehouse(home, "console", "-i", "i-0123456789abcdef0")

    assert (failed.returncode, "does not exist" in failed.stderr) == (1, True)


def test_what_is_no_key_cannot_be_the_escape_key(home: Path, instance_id: str) -> None:
    assert "no key `abc`" in bakehouse(home, "console", "-i", instance_id, "--escape", "abc").stderr


def test_a_session_ends_with_its_machine(home: Path, ending_id: str) -> None:
    with terminal(home, "-i", ending_id) as shown:
        shown.wait_for(b"login: ")
        client(home).stop_instances(InstanceIds=[ending_id], Force=True)

        shown.wait_for(b"does not run any more")
        assert shown.end() == 0


def test_there_is_no_session_with_a_stopped_instance(home: Path, ending_id: str) -> None:
    client(home).stop_instances(InstanceIds=[ending_id], Force=True)

    failed = bakehouse(home, "console", "-i", ending_id)

    assert (failed.returncode, "not in the 'running' state" in failed.stderr) == (1, True)
