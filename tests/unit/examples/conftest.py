"""Running employee directories, of both variants, without a virtual machine."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import client
import pytest
from employee_directory.metadata import InstanceMetadata
from employee_directory.pages import application
from employee_directory.server import Server, listening_socket
from employee_directory.store import Store

EXAMPLE: Final = Path(client.__file__).parent

#: Nothing listens on port 1: it refuses at once, as no metadata service does outside EC2.
NO_METADATA: Final = "http://127.0.0.1:1"

METADATA: Final = {
    "instance-id": "i-0a1b2c3d4e5f60718",
    "local-hostname": "ip-172-31-20-7.ec2.internal",
    "ami-id": "ami-0f3a9c51e2b47d680",
}


class MetadataHandler(BaseHTTPRequestHandler):
    """Version 2 only: without a token, nothing."""

    def do_PUT(self) -> None:
        self._answer("a-token" if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        allowed = self.headers.get("X-aws-ec2-metadata-token") == "a-token"
        self._answer(METADATA.get(self.path.removeprefix("/latest/meta-data/")) if allowed else None)

    def _answer(self, text: str | None) -> None:
        self.send_response(200 if text else 401)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def metadata_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), MetadataHandler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def serving(state: Path, metadata_url: str = NO_METADATA) -> Iterator[str]:
    """Serve the full variant, and yield its address."""
    server = Server(listening_socket("127.0.0.1", 0), application(Store(state), InstanceMetadata(metadata_url)))
    port = server.socket.getsockname()[1]
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as base_url:
        yield base_url


class Minimal:
    """The shell variant in a directory of its own; `base_url` once `serving`."""

    def __init__(self, directory: Path) -> None:
        home = EXAMPLE / "minimal" / "opt" / "employee-directory"
        self.state = directory / "state"
        self.state.mkdir()
        self.records = self.state / "employees.tsv"
        self.records.write_text("1\n")
        self.environment = {
            "PATH": str(directory / "bin"),
            "DIRECTORY_HOME": str(home),
            "DIRECTORY_STATE": str(self.state),
            "DIRECTORY_RUN": str(self.state),
        }
        self.www = directory / "www"
        shutil.copytree(home / "www", self.www)
        # As the start script does.
        for address in ("healthz", "employees/new", "api/employees", "api/instance"):
            (self.www / address).mkdir(parents=True)
        self._link_applets(directory / "bin")
        # httpd finds the script's interpreter by its first line, which the image has at this path.
        script = self.www / "cgi-bin" / "index.cgi"
        script.write_text(script.read_text().replace("#!/bin/sh", f"#!{directory}/bin/sh", 1))

    def _link_applets(self, directory: Path) -> None:
        busybox = shutil.which("busybox")
        if busybox is None:
            pytest.skip("there is no busybox here")
        directory.mkdir()
        listed = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
        for applet in listed.stdout.split():
            (directory / applet).symlink_to(busybox)

    def awk(self, action: str, **environment: str) -> bytes:
        """Return what directory.awk writes for an action."""
        program = Path(self.environment["DIRECTORY_HOME"], "directory.awk")
        command = ["busybox", "awk", "-f", str(program), "-v", f"action={action}", str(self.records)]
        environment = {**self.environment, "LC_ALL": "C", **environment}
        return subprocess.run(command, check=True, capture_output=True, env=environment).stdout

    @contextmanager
    def serving(self, port: int) -> Iterator[str]:
        """Serve, and yield the address."""
        command = ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(self.www)]
        with subprocess.Popen(command, env=self.environment) as httpd:
            try:
                base_url = f"http://127.0.0.1:{port}"
                client.wait_until_healthy(base_url, deadline_s=30)
                yield base_url
            finally:
                httpd.terminate()


@pytest.fixture
def stopped_minimal(tmp_path: Path) -> Minimal:
    return Minimal(tmp_path)


@pytest.fixture
def minimal(stopped_minimal: Minimal, unused_tcp_port: int) -> Iterator[str]:
    with stopped_minimal.serving(unused_tcp_port) as base_url:
        yield base_url
