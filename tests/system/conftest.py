"""Fixtures of the system tests: a server over fake drivers, spoken to by boto3."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.server import RunningServer, server

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningServer]:
    """A running server; each test has its own."""
    with server(tmp_path / "home") as started:
        yield started


@pytest.fixture
def ec2(running: RunningServer) -> "EC2Client":
    """A boto3 client of the first account."""
    return running.ec2()
