"""Finding the programs we start."""

import os
import shutil
from typing import Final

#: Where Debian keeps what only administrators were thought to need; not in an ordinary user's PATH.
_MORE: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find(name: str) -> str | None:
    """Return the path of a program, or None when it is not installed."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_MORE)))
