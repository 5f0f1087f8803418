"""Names of files that work in progress needs, which no manifest reaches yet: a sweep leaves them alone."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Pins:
    """Counts for each name how many calls need it at present."""

    def __init__(self) -> None:
        self._needed: Counter[str] = Counter()

    @contextmanager
    def hold(self, *names: str | None) -> Iterator[None]:
        """Keep these files until the block ends. None stands for no file."""
        held = [name for name in names if name is not None]
        self._needed.update(held)
        try:
            yield
        finally:
            self._needed.subtract(held)
            self._needed += Counter()  # Drops what nobody needs any more.

    def names(self) -> frozenset[str]:
        """Return what is needed at this moment."""
        return frozenset(self._needed)
