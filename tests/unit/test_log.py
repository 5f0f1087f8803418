"""What the server's log says of errors."""

import secrets
from collections.abc import Iterator

import pytest
import structlog

from bakehouse.bootstrap.log import configure_log


@pytest.fixture(autouse=True)
def _own_configuration() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def _fail(key: str) -> None:
    msg = f"a key of {len(key)} characters"
    raise RuntimeError(msg)


def test_a_traceback_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log()
    key = secrets.token_hex(8)

    try:
        _fail(key)
    except RuntimeError:
        structlog.get_logger().exception("a request failed")

    logged = capsys.readouterr().out
    assert "RuntimeError: a key of 16 characters" in logged
    assert key not in logged
