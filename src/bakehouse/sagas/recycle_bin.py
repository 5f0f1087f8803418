"""What deletions do with the Recycle Bin: into it goes what a retention rule keeps, in the deletion's own transaction.

The record moves, the bytes stay where they are: there is no second side effect, so this is no saga.
"""

from datetime import datetime

from bakehouse.domain.recycle_bin import Recyclable, exit_time, recycled, retained_type
from bakehouse.store.store import Store, Transaction


def retained_until(store: Store, resource: Recyclable, now: datetime) -> datetime | None:
    """Return until when the rules of the resource's account and region keep it if it is deleted now, or None."""
    place = resource.account_id, resource.region, retained_type(resource)
    return exit_time(store.retention_rules.by("kind")[place].values(), resource, now)


def keep(store: Store, tx: Transaction, resource: Recyclable, now: datetime) -> bool:
    """Move a resource that is deleted now into the bin; False when no rule keeps it, and then nothing has changed."""
    exits_at = retained_until(store, resource, now)
    if exits_at is None:
        return False
    tx.delete(resource)
    tx.put(recycled(resource, entered_at=now, exits_at=exits_at))
    return True
