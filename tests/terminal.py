"""Programs on a terminal of the test's own."""

import contextlib
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

DEADLINE_S = 60
ESCAPE = b"\x1d"


class Terminal:
    """A program on a terminal."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.screen = b""
        self._ours, its = pty.openpty()
        self.before = termios.tcgetattr(its)
        self._its = its
        self.process = subprocess.Popen(argv, env={**os.environ, **environment}, stdin=its, stdout=its, stderr=its)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def wait_for(self, text: bytes, times: int = 1) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while self.screen.count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.screen!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self.screen += os.read(self._ours, 4096)

    def end(self) -> int:
        return self.process.wait(DEADLINE_S)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._its) == self.before

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._its)


@contextlib.contextmanager
def on_terminal(argv: Sequence[str], **environment: str) -> Iterator[Terminal]:
    """Run a program, for as long as the block lasts at the most."""
    made = Terminal(argv, environment)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def terminal(home: Path, *arguments: str) -> Iterator[Terminal]:
    """Run `bakehouse console`."""
    argv = [sys.executable, "-m", "bakehouse", "console", *arguments]
    with on_terminal(argv, BAKEHOUSE_HOME=str(home), NO_COLOR="1") as made:
        yield made
