"""The way outside: slirp4netns, which turns guests' connections into its own.

With root too, where the kernel could translate: that needs forwarding switched on for the whole host and a
place in its firewall (Docker's drops what it does not know), and neither is ours to change.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

from bakehouse.drivers import process
from bakehouse.drivers.network.linux import messages, programs
from bakehouse.drivers.network.linux.agent_client import AgentClient, read_to_end
from bakehouse.drivers.network.linux.layout import UPLINK, UPLINK_NETWORK
from bakehouse.ports.network import NetworkUnavailable

PROGRAM: Final = "slirp4netns"

_START_TIMEOUT_S: Final = 10

#: What slirp4netns writes when it serves. Source: slirp4netns(1), --ready-fd.
_READY: Final = b"1"


def command_line(program: str, agent_pid: int, *, ready_fd: int, exit_fd: int, rootless: bool) -> list[str]:
    """Return slirp4netns' argv for a segment. Pure."""
    # By pid it enters the user namespace too. By path it can be told both as well, but then its sandbox, which
    # is made in the user namespace, is not (slirp4netns 1.2.0 says `setegid(0)` and ends).
    namespace = [str(agent_pid)] if rootless else ["--netns-type=path", f"/proc/{agent_pid}/ns/net"]
    return [
        program,
        "--configure",
        f"--cidr={UPLINK_NETWORK}",
        "--mtu=1500",
        # Else guests reach what listens on the host's 127.0.0.1, our own API among it.
        "--disable-host-loopback",
        # What reads guests' packets can neither see the file system nor make unusual system calls.
        "--enable-sandbox",
        "--enable-seccomp",
        f"--ready-fd={ready_fd}",
        f"--exit-fd={exit_fd}",
        *namespace,
        UPLINK,
    ]


async def ensure_uplink(agent: AgentClient, *, log: Path, rootless: bool) -> None:
    """Give a segment a way outside, unless it has one. It ends with the agent.

    Raises:
        NetworkUnavailable: slirp4netns is not installed or does not start.
        AgentGone: The segment's agent ended.
    """
    report = await agent.call(messages.Report())
    if report.has_uplink:
        return
    program = programs.find(PROGRAM)
    if program is None:
        raise NetworkUnavailable(f"`{PROGRAM}` is not installed, so guests have no way outside")
    exit_reading, exit_writing = os.pipe()
    ready_reading, ready_writing = os.pipe()
    try:
        await agent.call(messages.HoldUplink(), exit_writing)
        argv = command_line(program, report.pid, ready_fd=ready_writing, exit_fd=exit_reading, rootless=rootless)
        try:
            await process.spawn_detached(argv, log=log, pass_fds=(exit_reading, ready_writing))
        finally:
            os.close(ready_writing)
        async with asyncio.timeout(_START_TIMEOUT_S):
            said = await read_to_end(ready_reading, enough=_READY)
    except (TimeoutError, process.ProcessFailed) as err:
        raise NetworkUnavailable(f"`{PROGRAM}` does not start; see `{log}`") from err
    finally:
        for fd in (exit_reading, exit_writing, ready_reading):
            os.close(fd)
    if said != _READY:
        raise NetworkUnavailable(f"`{PROGRAM}` does not start; see `{log}`")
