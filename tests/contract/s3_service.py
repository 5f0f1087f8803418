"""An S3 service on loopback, by moto: everything of the protocol that Bakehouse speaks, nothing kept."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: What the service is asked with; it takes any.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def running() -> Iterator[str]:
    """Run the service in a process of its own; give its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(1 << 20)}
    service = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}", service)
        yield f"http://127.0.0.1:{port}"
    finally:
        service.kill()
        service.wait()


def _wait_for(url: str, service: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()  # noqa: S310 - our own, on loopback
            return
        assert service.poll() is None, "the service ended"
        assert time.monotonic() < deadline, "the service does not answer"
        time.sleep(0.05)
