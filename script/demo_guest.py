"""An instance of the demo, as the host reaches it: by SSH and by HTTP."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guest:
    """An instance and where it is reached."""

    instance_id: str
    public_ip: str
    private_ip: str
    ssh_port: int
    http_port: int
    user: str
    key_file: Path

    @property
    def url(self) -> str:
        """The address of its web page."""
        return f"http://{self.public_ip}" + ("" if self.http_port == 80 else f":{self.http_port}")

    @property
    def ssh_words(self) -> str:
        """The command that logs in."""
        return f"ssh -i {self.key_file} -p {self.ssh_port} {self.user}@{self.public_ip}"

    def ssh(self, command: str, patience_s: float = 20) -> str | None:
        """Return what a command prints in the guest; None when it fails or nobody answers in time."""
        argv = [
            "ssh", "-i", str(self.key_file), "-p", str(self.ssh_port), "-o", "BatchMode=yes",
            "-o", f"ConnectTimeout={patience_s:.0f}", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
            f"{self.user}@{self.public_ip}", command,
        ]  # fmt: skip
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
        return done.stdout.strip() if done.returncode == 0 else None

    def host_key(self, patience_s: float = 20) -> str:
        """Return its SSH host key; empty when nobody answers in time."""
        seconds = f"{patience_s:.0f}"
        argv = ["ssh-keyscan", "-T", seconds, "-t", "ed25519", "-p", str(self.ssh_port), self.public_ip]
        words = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120).stdout.split()
        return words[-1] if words else ""


def wait(answers: Callable[[float], object], *, deadline_s: float) -> bool:
    """Return whether somebody answered in time.

    Each try is given more patience than the one before: a guest that boots under emulation spends seconds on a
    connection, and one that is asked anew all the time never finishes any.
    """
    give_up_at = time.monotonic() + deadline_s
    patience_s = 1.0
    while not answers(patience_s):
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.2)
        patience_s = min(patience_s * 1.5, 20)
    return True
