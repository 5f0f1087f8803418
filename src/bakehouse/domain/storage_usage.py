"""What images, snapshots and volumes cost on the host's disk.

They share layers. What is *exclusive* to one is freed when it alone is deleted; what is *shared* is not.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageUse:
    """What one resource costs, in bytes on the disk."""

    id: str
    kind: str
    """`image`, `snapshot`, `volume`, or `archive` for the archived copy of a snapshot."""
    exclusive_bytes: int
    shared_bytes: int
    layers: int
    """Length of the longest chain that is read through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageUsage:
    """What everything costs. The whole is less than the sum of the parts, since they share."""

    total_bytes: int
    unneeded_bytes: int
    """Of files that nobody needs any more, and that will be removed presently."""
    resources: tuple[StorageUse, ...] = ()


def storage_usage(
    layers: Mapping[str, int],
    *,
    volumes: Mapping[str, Iterable[str]],
    snapshots: Mapping[str, Iterable[str]],
    images: Mapping[str, Iterable[str]],
    archived: Mapping[str, int],
    unneeded_bytes: int,
) -> StorageUsage:
    """Say what each costs.

    Args:
        layers: What each layer takes.
        volumes: The layers of each volume.
        snapshots: The layers of each snapshot.
        images: The snapshots of each image. What only an image's own snapshots need is exclusive to the image, as
            they can be deleted together.
        archived: What each archived copy of a snapshot takes. It shares nothing, and has no layers.
        unneeded_bytes: What files take that are in none of them.
    """
    chains = {it: set(chain) for it, chain in (*volumes.items(), *snapshots.items())}
    readers = Counter(layer for chain in chains.values() for layer in chain)

    def use(resource_id: str, kind: str, members: Iterable[str]) -> StorageUse:
        own = Counter(layer for member in members for layer in chains.get(member, ()))
        exclusive = sum(layers.get(layer, 0) for layer in own if own[layer] == readers[layer])
        return StorageUse(
            id=resource_id,
            kind=kind,
            exclusive_bytes=exclusive,
            shared_bytes=sum(layers.get(layer, 0) for layer in own) - exclusive,
            layers=max((len(chains.get(member, ())) for member in members), default=0),
        )

    return StorageUsage(
        total_bytes=sum(layers.values()) + sum(archived.values()),
        unneeded_bytes=unneeded_bytes,
        resources=(
            *(use(it, "image", tuple(images[it])) for it in sorted(images)),
            *(use(it, "snapshot", (it,)) for it in sorted(snapshots)),
            *(use(it, "volume", (it,)) for it in sorted(volumes)),
            *(
                StorageUse(id=it, kind="archive", exclusive_bytes=archived[it], shared_bytes=0, layers=0)
                for it in sorted(archived)
            ),
        ),
    )
