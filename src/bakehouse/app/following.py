"""What a client hears when its change is written down and the host's network could not follow."""

from collections.abc import Iterator
from contextlib import contextmanager

from bakehouse.domain.network import network_behind
from bakehouse.ports.network import NetworkUnavailable


@contextmanager
def network_follows(subject_id: str) -> Iterator[None]:
    """Let the network follow the records of a resource, in the block: ServiceUnavailable where it cannot.

    The records have changed all the same, and the journal or the next sweep makes the network follow.
    """
    try:
        yield
    except NetworkUnavailable as err:
        raise network_behind(subject_id, str(err)) from err
