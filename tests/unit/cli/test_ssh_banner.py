"""What `--wait` waits for, from servers of our own making."""

import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bakehouse.cli import ssh_banner
from bakehouse.cli.ssh_target import Target
from bakehouse.cli.terminal import CommandFailed

BANNER = b"SSH-2.0-test\r\n"


def target(port: int, proxy_command: str | None = None) -> Target:
    return Target(
        instance_id="i-0123456789abcdef0",
        address="127.0.0.1",
        port=port,
        user="admin",
        key_file=None,
        known_hosts=Path("/nowhere"),
        is_known=False,
        proxy_command=proxy_command,
    )


@contextmanager
def server(*sayings: bytes) -> Iterator[int]:
    """Say one thing to each connection, in turn, and close it; yields the port, which is closed after the last."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for saying in sayings:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(saying)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)
        assert not thread.is_alive()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_a_server_that_says_its_version_answers() -> None:
    with server(BANNER) as port:
        assert ssh_banner.answers(target(port))


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400\r\n"])
def test_whoever_else_listens_does_not_answer(said: bytes) -> None:
    with server(said) as port:
        assert not ssh_banner.answers(target(port))


def test_a_closed_port_does_not_answer() -> None:
    assert not ssh_banner.answers(target(unused_port()))


@pytest.mark.parametrize(("said", "is_answer"), [("SSH-2.0-test", True), ("", False)])
def test_what_comes_through_another_instance_counts_for_one_that_is_private(said: str, *, is_answer: bool) -> None:
    command = shlex.join([sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])", said, "%h:%p"])

    assert ssh_banner.answers(target(22, command)) is is_answer


def test_it_is_waited_for_until_it_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ssh_banner, "_PAUSE_S", 0)

    with server(b"", b"", BANNER) as port:
        ssh_banner.wait_for_banner(target(port))

    assert "waiting for i-0123456789abcdef0" in capsys.readouterr().err


def test_one_that_never_answers_is_given_up_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_banner, "LIMIT_S", -1)

    with pytest.raises(CommandFailed, match="did not answer at") as failure:
        ssh_banner.wait_for_banner(target(unused_port()))

    assert "bakehouse console i-0123456789abcdef0" in failure.value.hint
