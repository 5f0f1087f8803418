"""Asserting that EC2 refuses."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.server import RunningServer

from bakehouse.domain.instance import Instance


@contextmanager
def refused(code: str, *, status: int = 400) -> Iterator[None]:
    """Assert that the block is refused with this error code and HTTP status."""
    with pytest.raises(ClientError) as error:
        yield
    response = error.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)


def contents(running: RunningServer) -> dict[str, dict[str, Any]]:
    """Return every record that the server has, to see that a request changed none."""
    return records_by_id(running.server.context.store.records)


def records_by_id(tables: Mapping[str, Iterable[Any]]) -> dict[str, dict[str, Any]]:
    """Return records without when guests were heard of, which the server writes down by itself."""
    return {
        name: {it.id: replace(it, answered_at=None) if isinstance(it, Instance) else it for it in list(records)}
        for name, records in tables.items()
    }
