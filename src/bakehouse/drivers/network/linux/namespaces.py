"""Entering namespaces: a new one, or the one that another process is in.

Through libc, because `os.unshare` and `os.setns` came with Python 3.12.
"""

import ctypes
import os
from pathlib import Path
from typing import Final

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000

_libc: Final = ctypes.CDLL(None, use_errno=True)


def enter_new(*, rootless: bool) -> None:
    """Move this process into a network namespace of its own.

    Args:
        rootless: Also into a user namespace, in which our user is root. The process has one thread.

    Raises:
        OSError: The host forbids it.
    """
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", (_CLONE_NEWUSER if rootless else 0) | _CLONE_NEWNET)
    if rootless:
        # Without `deny`, an unprivileged user could drop a group that is meant to deny something. Source:
        # user_namespaces(7), "Defining user and group ID mappings".
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def join(pid: int, *, rootless: bool) -> None:
    """Move this process into the namespaces of another.

    Raises:
        OSError: It is gone, or is not ours.
    """
    kinds = (("user", _CLONE_NEWUSER), ("net", _CLONE_NEWNET)) if rootless else (("net", _CLONE_NEWNET),)
    opened = []
    try:
        # All are opened first: from inside the other user namespace the process may not be looked at any more.
        for kind, flag in kinds:
            opened.append((os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC), flag))
        for fd, flag in opened:
            _call("setns", fd, flag)
    finally:
        for fd, _flag in opened:
            os.close(fd)


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
