"""Drivers whose calls fail, or wait, when a test wants it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from socket import socket
from typing import Any


class Injected(Exception):
    """A failure that a test asked for."""


@dataclass
class _Fault:
    error: Exception
    times: int
    after: bool


class Stop:
    """Where one call of a driver waits until a test lets it go on, or the server stops."""

    def __init__(self, *, after: bool) -> None:
        self.after = after
        self.is_reached = False
        self.gate = asyncio.Event()

    async def wait(self) -> None:
        self.is_reached = True
        await self.gate.wait()


class Fragile:
    """A driver whose calls fail when a test wants it, before they do anything or after they did all of it."""

    def __init__(self, driver: object) -> None:
        self.driver = driver
        self.calls: list[str] = []
        self._faults: dict[str, _Fault] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self._stops: dict[str, Stop] = {}

    def fail(self, method: str, *, error: Exception | None = None, times: int = 1, after: bool = False) -> None:
        self._faults[method] = _Fault(error or Injected(method), times, after)

    def hold(self, method: str) -> asyncio.Event:
        """Let calls of a method wait before they do anything, until the event is set or the server stops."""
        self._gates[method] = asyncio.Event()
        return self._gates[method]

    def hold_one(self, method: str, *, after: bool = False) -> Stop:
        """Let the next call of a method wait, before it does anything or after it did all of it; others pass."""
        self._stops[method] = Stop(after=after)
        return self._stops[method]

    def release(self) -> None:
        for gate in (*self._gates.values(), *(stop.gate for stop in self._stops.values())):
            gate.set()

    def heal(self) -> None:
        self._faults.clear()
        self.release()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.driver, name)
        if not asyncio.iscoroutinefunction(attribute):
            return attribute

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if (gate := self._gates.get(name)) is not None:
                await gate.wait()
            stop = self._stops.get(name)
            if stop is None or stop.is_reached:
                return await self._try(name, attribute(*arguments, **named))
            if not stop.after:
                await stop.wait()
                return await self._try(name, attribute(*arguments, **named))
            answer = await attribute(*arguments, **named)
            try:
                await stop.wait()
            except asyncio.CancelledError:
                _lose(answer)
                raise
            return answer

        return call

    async def _try(self, name: str, calling: Coroutine[Any, Any, Any]) -> Any:
        fault = self._faults.get(name)
        if fault is None or fault.times == 0:
            return await calling
        fault.times -= 1
        if fault.after:
            _lose(await calling)
        else:
            calling.close()
        raise fault.error


def _lose(answer: object) -> None:
    if isinstance(answer, socket):
        answer.close()
