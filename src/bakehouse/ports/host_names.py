"""The port of public names: what tells the programs of this host which address a public name stands for."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNamesStatus:
    """Who answers for public names on this host, and whether its programs ask there."""

    proven: bool
    """Whether a lookup by the host's own resolver, made as any program makes one, found the right address."""
    server: str | None
    """ADDRESS:PORT of the name server, by UDP and TCP; None where none is wanted."""
    serves: bool
    """Whether this server of ours answers there; another one may."""
    problem: str = ""
    """Why it does not."""


class HostNames(Protocol):
    """A name server for the programs of this host, and the proof that they ask it."""

    @property
    def proven(self) -> bool:
        """Whether the last lookup found the right address. Costs nothing."""
        ...

    async def start(self) -> None:
        """Begin to answer and to look again every now and then, until `close`. Does not wait for the proof."""
        ...

    async def check(self) -> HostNamesStatus:
        """Look now: answer, if nobody does, and prove it again. Takes seconds where the host's resolver is silent."""
        ...

    async def close(self) -> None:
        """Stop answering. Succeeds when it was never begun."""
        ...


class NoHostNames:
    """No names on this host: for what needs none. Fulfils `HostNames`."""

    def __init__(self, *, proven: bool = False) -> None:
        """Say of names that they were proved, or were not; tests may change it."""
        self.proven = proven

    async def start(self) -> None:
        """Do nothing."""

    async def check(self) -> HostNamesStatus:
        """Say the same again."""
        return HostNamesStatus(proven=self.proven, server=None, serves=False, problem="no name server is wanted here")

    async def close(self) -> None:
        """Do nothing."""
