"""Look-ups of images by name that a stranger's image can answer.

Anybody may make an image public under any name. Who asks for a name, names no owner and takes the newest launches what
a stranger wants. Source: EC2 User Guide, "Find an AMI that meets your requirements" and "Allowed AMIs"; Datadog
Security Labs, "whoAMI: A cloud image name confusion attack" (2025), which AWS answered with Allowed AMIs.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from bakehouse.domain.caller import Caller

_log: Final = structlog.get_logger(__name__)

#: How many look-ups are remembered as warned of; who asks for more is warned again.
_REMEMBERED: Final = 10_000


class NameLookups:
    """Warns of look-ups by name alone, once for each account and pattern."""

    def __init__(self) -> None:
        """Begin with nothing warned of."""
        self._warned: dict[tuple[str, str], None] = {}

    def warn(self, caller: Caller, patterns: Iterable[str]) -> None:
        """Log a warning for each name pattern that this account was not warned of yet, with what to do about it."""
        for pattern in patterns:
            key = caller.account_id, pattern
            if key in self._warned:
                continue
            if len(self._warned) >= _REMEMBERED:
                del self._warned[next(iter(self._warned))]
            self._warned[key] = None
            _log.warning(
                "images looked up by name without an owner: a stranger's public image of such a name is found too",
                account=caller.account_id,
                region=caller.region,
                name=pattern,
                hint="name the owners (Owners=self or an account id), or enable Allowed AMIs",
            )
