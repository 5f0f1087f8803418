"""Asserting that EC2 refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer


@contextmanager
def refused(code: str, *, status: int = 400) -> Iterator[None]:
    """Assert that the block is refused with this error code and HTTP status."""
    with pytest.raises(ClientError) as error:
        yield
    response = error.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def contents(running: RunningServer) -> dict[str, dict[str, Any]]:
    """Return every record that the server has, to see that a request changed none."""
    return {
        name: {record.id: record for record in list(records)}
        for name, records in running.server.context.store.records.items()
    }
