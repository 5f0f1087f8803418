"""Killing a store at any step that reaches the disk, without killing the test."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bakehouse.drivers import process

#: By these the store changes the disk; the tools that it starts come on top.
STEPS = ("fsync", "replace", "rename", "chmod", "unlink")


class Killed(BaseException):
    """What `kill -9` would have been. Not an `Exception`, so that no cleaning up catches it."""


@contextmanager
def killed_at(step: int) -> Iterator[list[str]]:
    """Let the store die before its step number `step`, counted from 0. Yields the steps that were begun.

    From there on nothing reaches the disk any more, whatever code still runs. A store that died must not be
    used again; a new one on the same directory is the restarted server.
    """
    begun: list[str] = []

    def passing(name: str) -> None:
        if len(begun) > step:
            raise Killed
        begun.append(name)
        if len(begun) > step:
            raise Killed

    def guarded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guard(*args: Any, **kwargs: Any) -> Any:
            passing(name)
            return call(*args, **kwargs)

        return guard

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, guarded(name, getattr(os, name)))
        for name in ("run", "stream"):
            patch.setattr(process, name, guarded(name, getattr(process, name)))
        yield begun
