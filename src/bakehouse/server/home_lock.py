"""One server per home: a lock that the kernel lets go of when its holder ends, however it ends."""

import fcntl
from pathlib import Path
from typing import IO


class HomeInUse(Exception):
    """Another server runs with this home."""


def lock(home: Path) -> IO[str]:
    """Take a home; it is given back when the file is closed.

    Raises:
        HomeInUse: Another server has it.
        FileNotFoundError: There is no such home.
    """
    file = (home / "serve.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        file.close()
        raise HomeInUse(f"another server runs with {home}") from err
    return file


def is_locked(home: Path) -> bool:
    """Tell whether a server runs with this home."""
    try:
        lock(home).close()
    except HomeInUse:
        return True
    return False
