"""The journal of a multi-step change: where it stands and in which direction it goes."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Direction(StrEnum):
    """Forward does the steps in order; backward undoes those that began, last first."""

    FORWARD = "forward"
    BACKWARD = "backward"


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaRecord:
    """One saga under way. It is removed when the saga has ended, either way.

    `position` is the step to do next going forward, and the step to undo next going backward.
    """

    id: str
    name: str
    subject_id: str
    """The resource it changes, for people who read the journal."""
    params: str
    """The saga's parameters as JSON: ids and plain values only."""
    position: int = 0
    direction: Direction = Direction.FORWARD
    error: str = ""
    """Why it turned back."""
    holds: tuple[str, ...] = ()
    """What is free only when it has ended: see `sagas/held_by_fabric.py`."""

    def advanced(self) -> "SagaRecord":
        """Return the record after one more step in its direction."""
        step = 1 if self.direction is Direction.FORWARD else -1
        return replace(self, position=self.position + step)

    def turned_back(self, error: str) -> "SagaRecord":
        """Return the record with the step under way to be undone first."""
        return replace(self, direction=Direction.BACKWARD, error=error)
