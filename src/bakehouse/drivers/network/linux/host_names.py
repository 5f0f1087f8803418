"""Public names for the programs of this host: a dnsmasq that knows all of them, and the proof that it is asked.

A name is its address, so dnsmasq makes the answers up and there is nothing to keep right. Every Bakehouse of the host
wants the same address and port, and whichever is first answers for all; when it ends, another one takes over.
"""

import asyncio
import contextlib
import errno
import os
import random
import signal
import socket
import threading
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

import structlog

from bakehouse.domain.public_names import PUBLIC_DOMAIN, public_name, public_zone
from bakehouse.domain.public_pool import FIRST_ADDRESS, LAST_ADDRESS
from bakehouse.domain.region import DEFAULT_REGION, REGIONS
from bakehouse.drivers import process
from bakehouse.drivers.network.linux import programs
from bakehouse.drivers.network.linux.name_service import nobody
from bakehouse.ports.host_names import HostNamesStatus

_log: Final = structlog.get_logger(__name__)

#: A resolver that is asked tries for 5 s, twice, before it gives up (resolv.conf(5)); one that answers does at once.
LOOKUP_DEADLINE_S: Final = 5.0

_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02

#: How often to look while clients are told names, and while they are told addresses: then each look is a question to
#: somebody else's server.
_PROVEN_PERIOD_S: Final = 30.0
_UNPROVEN_PERIOD_S: Final = 300.0

_PRIVILEGED_PORTS: Final = 1024


def command_line(program: str, leash: str, address: str, port: int, *, user: str, group: str) -> list[str]:
    """Return the argv of the name server. Pure.

    Args:
        program: dnsmasq itself.
        leash: `setpriv`, by which it ends when we do, however that is.
        address: Where it listens, in 127.0.0.0/8.
        port: By UDP and TCP.
        user: Whom it becomes; empty to stay.
        group: That user's group.
    """
    become = [f"--reuid={user}", f"--regid={group}", "--clear-groups"] if user else []
    if user and port < _PRIVILEGED_PORTS:
        become += ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]
    return [
        leash,
        *become,
        "--pdeathsig=TERM",
        program,
        "--keep-in-foreground",
        "--log-facility=-",
        "--conf-file=/dev/null",
        "--pid-file",
        "--user=",
        "--group=",
        f"--listen-address={address}",
        f"--port={port}",
        # Without it dnsmasq listens everywhere and looks at where a question came in.
        "--bind-interfaces",
        # It knows its own names and has nobody to ask for others: those are refused.
        "--no-hosts",
        "--no-resolv",
        f"--local=/{PUBLIC_DOMAIN}/",
        *(f"--synth-domain={public_zone(region)},{FIRST_ADDRESS},{LAST_ADDRESS},ec2-" for region in REGIONS),
    ]


class LinuxHostNames:
    """The name server of a Linux host. Fulfils `bakehouse.ports.host_names.HostNames`.

    Args:
        address: Where it listens, in 127.0.0.0/8.
        port: By UDP and TCP.
        log: What dnsmasq says is appended there.
        unprivileged: Whether dnsmasq becomes `nobody` (as root), or stays who we are.
    """

    def __init__(self, address: str, port: int, *, log: Path, unprivileged: bool) -> None:
        self._address = address
        self._port = port
        self._log = log
        self._user, self._group = nobody() if unprivileged else ("", "")
        self._proven = False
        self._problem = ""
        #: dnsmasq's pid and start time.
        self._process: tuple[int, int] | None = None
        self._turn = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    @property
    def proven(self) -> bool:
        """Whether the last lookup found the right address."""
        return self._proven

    async def start(self) -> None:
        """Begin to answer and to look again every now and then, until `close`."""
        self._watching = asyncio.create_task(self._watch(), name="watch public names")

    async def check(self) -> HostNamesStatus:
        """Look now: answer, if nobody does, and prove it again."""
        async with self._turn:
            await self._serve()
            # A busy host may be late once; clients must not be told other names for that.
            self._proven = await resolves_public_names() or (self._proven and await resolves_public_names())
        return HostNamesStatus(
            proven=self._proven,
            server=f"{self._address}:{self._port}",
            serves=self._is_running(),
            problem=self._problem,
        )

    async def close(self) -> None:
        """Stop answering. Succeeds when it was never begun."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        async with self._turn:
            if self._process is not None and self._is_running():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._process[0], signal.SIGTERM)  # it ends its own processes
                await process.wait_until_gone(*self._process, timeout_s=_STOP_TIMEOUT_S)

    async def _watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception:  # noqa: BLE001 - the next look comes all the same
                _log.exception("could not look whether this host resolves public names")
            await asyncio.sleep(_PROVEN_PERIOD_S if self._proven else _UNPROVEN_PERIOD_S)

    async def _serve(self) -> None:
        """Begin to answer, unless we do. Says in `_problem` why we cannot."""
        if self._is_running():
            return
        self._problem = _obstacle(self._address, self._port)
        if self._problem:
            return
        program, leash = programs.find("dnsmasq"), programs.find("setpriv")
        if program is None or leash is None:
            self._problem = f"`{'dnsmasq' if program is None else 'setpriv'}` is not installed"
            return
        argv = command_line(program, leash, self._address, self._port, user=self._user, group=self._group)
        try:
            pid = await process.spawn_detached(argv, log=self._log)
        except (process.ProcessFailed, OSError) as err:
            self._problem = f"the name server does not start: {err}"
            return
        started = process.start_time(pid)
        self._process = None if started is None else (pid, started)
        if not await self._answers():
            self._problem = f"the name server does not start; see `{self._log}`"

    async def _answers(self) -> bool:
        """Wait until our dnsmasq listens, and tell whether it does."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT_S):
                while self._is_running():
                    if _obstacle(self._address, self._port):
                        return True
                    await asyncio.sleep(_POLL_S)
        return False

    def _is_running(self) -> bool:
        return self._process is not None and process.is_running(*self._process)


async def resolves_public_names(*, deadline_s: float = LOOKUP_DEADLINE_S) -> bool:
    """Tell whether a program of this host that looks up a public name finds its address.

    The name is another one each time, so that what resolvers remember does not count.
    """
    span = range(int(IPv4Address(FIRST_ADDRESS)), int(IPv4Address(LAST_ADDRESS)) + 1)
    address = str(IPv4Address(random.choice(span)))  # noqa: S311 - nobody gains by guessing it
    return await _looked_up(public_name(address, DEFAULT_REGION), deadline_s) == {address}


async def _looked_up(name: str, deadline_s: float) -> frozenset[str]:
    """Return the addresses that getaddrinfo(3) finds by then.

    It can be neither cancelled nor given a deadline, so it has a thread that nobody waits for.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[frozenset[str]] = loop.create_future()

    def tell(addresses: frozenset[str]) -> None:
        if not found.done():
            found.set_result(addresses)

    def look() -> None:
        addresses = frozenset[str]()
        with contextlib.suppress(OSError):
            answers = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
            addresses = frozenset(str(where[0]) for *_kind, where in answers)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            loop.call_soon_threadsafe(tell, addresses)

    threading.Thread(target=look, name="look up a public name", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            return await found
    return frozenset()


def _obstacle(address: str, port: int) -> str:
    """Return why nobody can listen there; empty when it is free.

    It only binds, so that a dnsmasq that begins to listen there meanwhile is not kept from it; nor does it connect, for
    which dnsmasq makes a process that has its sockets and may outlive it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError as err:
            if err.errno == errno.EADDRINUSE:
                return "another program answers there, such as another Bakehouse, which knows the same names"
            return f"it cannot listen there: {err.strerror}"
    return ""
