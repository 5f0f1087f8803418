"""Which instance is this? Asked of the EC2 instance metadata service, version 2."""

import logging
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Lock
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

logger = logging.getLogger(__name__)

#: Source: EC2 User Guide, "Use the Instance Metadata Service".
ENDPOINT: Final = "http://169.254.169.254"

#: It answers in milliseconds or, outside EC2, not at all; a page must not wait longer for its footer.
TIMEOUT_S: Final = 1.0
ASK_AGAIN_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Instance:
    """The instance as its metadata describes it."""

    instance_id: str
    host_name: str
    ami_id: str


def ask(endpoint: str) -> Instance:
    """Read the metadata.

    Raises:
        OSError, HTTPException: There is no metadata service, or it answered with a refusal.
    """
    address = urlsplit(endpoint)
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = {"X-aws-ec2-metadata-token": _request(address.netloc, "PUT", "api/token", ttl)}
    instance_id, host_name, ami_id = (
        _request(address.netloc, "GET", f"meta-data/{name}", token)
        for name in ("instance-id", "local-hostname", "ami-id")
    )
    return Instance(instance_id, host_name, ami_id)


def _request(host: str, method: str, path: str, headers: dict[str, str]) -> str:
    # HTTPConnection and not urllib: a proxy from the environment must never see a metadata token.
    connection = HTTPConnection(host, timeout=TIMEOUT_S)
    try:
        connection.request(method, f"/latest/{path}", headers=headers)
        answer = connection.getresponse()
        text = answer.read(1024).decode("ascii", "replace")
    finally:
        connection.close()
    if answer.status != 200:  # noqa: PLR2004
        raise HTTPException(f"{method} {path}: {answer.status}")
    return text


class InstanceMetadata:
    """A cached answer. An instance never changes while the machine runs, so it is asked once."""

    def __init__(self, endpoint: str = ENDPOINT) -> None:
        """Use a service at another address, in tests."""
        self._endpoint = endpoint
        self._lock = Lock()
        self._instance: Instance | None = None
        self._ask_at = 0.0

    def read(self) -> Instance | None:
        """Return the instance, or None outside EC2. Takes at most one timeout a minute."""
        with self._lock:
            if self._instance is None and monotonic() >= self._ask_at:
                try:
                    self._instance = ask(self._endpoint)
                except (OSError, HTTPException) as err:
                    logger.info("no instance metadata: %s", err)
                    self._ask_at = monotonic() + ASK_AGAIN_AFTER_S
            return self._instance
