"""Fast snapshot restores: that volumes made of a snapshot in a zone are whole from the beginning.

Every volume here is: it reads through to its snapshot's layers, and nothing is fetched from afar. So an account that
enables them changes nothing but what is shown, and has what it asked for at once.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FastSnapshotRestore:
    """What an account has enabled for a snapshot, its own or one that it may read, in one zone."""

    account_id: str
    zone: str
    enabled_at: datetime
