"""A client's view of a server: where it is, whose keys it has, and how a program of it runs."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.server import RunningServer

from bakehouse.drivers.network.linux.host import lowest_port
from bakehouse.drivers.network.linux.public_port import PORT_OFFSET

_TIMEOUT_S: Final = 300

#: Runs ssh until it can log in. Its own attempts end where something else than the guest takes the connection at first.
_UNTIL_CONNECTED: Final = """
for _ in $(seq 60); do
    "$@"; status=$?
    [ $status = 255 ] || exit $status
    sleep 1
done
exit 255
"""

#: Where a guest's SSH is found on the host: a user without privileges has it elsewhere.
SSH_PORT: Final = 22 if lowest_port() <= 22 else 22 + PORT_OFFSET

#: What of ours a client may see. Nothing of AWS's, of Python's environments, or of a home with configuration in it.
_KEPT: Final = ("PATH", "LANG", "TERM", "TMPDIR", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Client:
    """An account's keys and an empty home folder, for programs that know nothing else."""

    url: str
    access_key_id: str
    secret_access_key: str
    folder: Path
    region: str = "us-east-1"

    @classmethod
    def of_account(cls, running: RunningServer, account: str, folder: Path) -> "Client":
        """Return the client of an account, which is made at its first use."""
        key = running.access_key(account)
        return cls(running.url, key.id, key.secret, folder)

    @classmethod
    def of_home(cls, home: Path, folder: Path) -> "Client":
        """Return the client of a home's first account."""
        credentials = json.loads((home / "credentials.json").read_text())
        return cls(
            credentials["endpoint_url"],
            credentials["access_key_id"],
            credentials["secret_access_key"],
            folder,
            credentials["region"],
        )

    @property
    def environment(self) -> dict[str, str]:
        """What `bakehouse env` prints, in an environment that is empty otherwise."""
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
        }

    def run(
        self, argv: Sequence[str | Path], environment: Mapping[str, str] | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> str:
        """Run a program in the client's folder and return what it printed; it must succeed."""
        done = subprocess.run(
            [str(word) for word in argv],
            env={**self.environment, **(environment or {})},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"{argv[0]}: status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run_around(self, argv: Sequence[str | Path], login: Callable[[str], str]) -> str:
        """Run a program that prints an address, waits for its input's end and goes on; return what a login there said.

        The program must succeed.
        """
        with subprocess.Popen(
            [str(word) for word in argv],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            address = program.stdout.readline().strip()
            said = login(address) if address else ""
            _, errors = program.communicate(timeout=_TIMEOUT_S)
        assert program.returncode == 0, errors
        return said

    def json(self, argv: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Any:
        """Run a program that prints JSON."""
        return json.loads(self.run(argv, environment))

    def ssh(self, address: str, key_file: Path, command: str, *, user: str = "root", port: int = SSH_PORT) -> str:
        """Log in as the client's user would, waiting while the guest boots, and return what a command prints."""
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        options += ["IdentitiesOnly=yes", "ConnectTimeout=5"]
        arguments = [word for option in options for word in ("-o", option)]
        argv = [
            "sh",
            "-c",
            _UNTIL_CONNECTED,
            "sh",
            "ssh",
            *arguments,
            "-i",
            str(key_file),
            "-p",
            str(port),
            f"{user}@{address}",
            command,
        ]
        return self.run(argv).strip()
