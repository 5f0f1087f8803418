"""Whether a change has company: others of the same turn of the event loop, which a commit would be shared with."""


class Turns:
    """Tells from the last turn that had changes whether this turn's first need not wait for others.

    A change that waits for the end of its turn meets all that it can share a commit with, and that costs it two more
    turns of the event loop. Where changes come one at a time, the wait is for nothing. Only the first of a turn goes
    ahead: when others follow it, all of the next turn wait for each other; and whoever makes many changes in a row lets
    everybody else have turns in between.
    """

    def __init__(self) -> None:
        """Expect company, until a turn had but one change."""
        self._changes = 0
        self._is_company_expected = True

    def may_go_ahead(self) -> bool:
        """Tell whether a change that comes now need not wait for the end of the turn."""
        return self._changes == 0 and not self._is_company_expected

    def count(self) -> None:
        """Take note of a change."""
        self._changes += 1

    def end(self) -> None:
        """End the turn."""
        self._is_company_expected = self._changes > 1
        self._changes = 0
