"""What a build uses of the host: tools, some of them in folders that only root's PATH names, and boot code."""

import os
from pathlib import Path
from typing import Final

from bakehouse.drivers.process import ProcessFailed

_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class HostFileMissing(ProcessFailed):
    """A file that a package of the host brings along is not there."""

    def __init__(self, path: Path, package: str) -> None:
        super().__init__((str(path),), None, f"install the package `{package}`")

    def __str__(self) -> str:
        return f"`{self.argv[0]}` is missing: {self.stderr}"


def environment(**more: str) -> dict[str, str]:
    """Return our environment for a tool: its messages in English, administrators' tools in its PATH."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **more}


def read(path: Path, package: str) -> bytes:
    """Return a file of the host.

    Args:
        path: The file.
        package: What brings it along, for the message.

    Raises:
        HostFileMissing: It is not there.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as err:
        raise HostFileMissing(path, package) from err
