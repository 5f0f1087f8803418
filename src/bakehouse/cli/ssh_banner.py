"""Whether an instance's SSH server answers: `running` says no more than that its machine runs."""

import asyncio
import shlex
import socket
import time
from typing import Final

from bakehouse.bootstrap.proxy_commands import says
from bakehouse.cli.ssh_target import Target
from bakehouse.cli.terminal import CommandFailed, note

#: Debian boots for two minutes where its processor is emulated, and for longer where others want it too.
LIMIT_S: Final = 600
_PAUSE_S: Final = 0.5
#: How long one look may take; a group that is closed drops packets.
_LOOK_S: Final = 5

#: What a server says first. Source: RFC 4253, section 4.2.
_BANNER: Final = b"SSH-"


def wait_for_banner(target: Target) -> None:
    """Look until the instance's SSH server answers.

    Raises:
        CommandFailed: It did not within `LIMIT_S`.
    """
    deadline = time.monotonic() + LIMIT_S
    if answers(target):
        return
    note(f"waiting for {target.instance_id} to answer at {target.address}:{target.port}; Ctrl-C ends it")
    while not answers(target):
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"{target.instance_id} did not answer at {target.address}:{target.port} within {LIMIT_S} s",
                f"look whether it boots, `bakehouse console {target.instance_id}`, "
                "and whether its security groups open port 22 to you",
            )
        time.sleep(_PAUSE_S)


def answers(target: Target) -> bool:
    """Look once, by the way that ssh will take."""
    if target.proxy_command is not None:
        words = shlex.split(target.proxy_command)
        there = {"%h": target.address, "%p": str(target.port), "%h:%p": f"{target.address}:{target.port}"}
        return asyncio.run(says([there.get(word, word) for word in words], _BANNER.decode(), within_s=_LOOK_S))
    try:
        with socket.create_connection((target.address, target.port), timeout=_LOOK_S) as connection:
            return connection.recv(len(_BANNER)) == _BANNER
    except OSError:
        return False
