"""The use cases on volumes and snapshots, one object for each noun."""

from bakehouse.app.context import AppContext
from bakehouse.app.encryption import Keys
from bakehouse.app.fast_snapshot_restores import FastSnapshotRestores
from bakehouse.app.root_replacements import RootReplacements
from bakehouse.app.snapshot_blocks import SnapshotBlocks
from bakehouse.app.snapshot_copies import SnapshotCopies
from bakehouse.app.snapshot_locks import SnapshotLocks
from bakehouse.app.snapshot_sizes import SnapshotSizes
from bakehouse.app.snapshot_tiers import SnapshotTiers
from bakehouse.app.snapshots import Snapshots
from bakehouse.app.storage import Storage
from bakehouse.app.volume_copies import VolumeCopies
from bakehouse.app.volume_io import VolumeIo
from bakehouse.app.volume_modifications import VolumeModifications
from bakehouse.app.volumes import Volumes


class StorageUseCases:
    """What a handler may call of volumes, snapshots and their keys."""

    def __init__(self, context: AppContext) -> None:
        """Make each noun's use cases over the same context."""
        self.fast_snapshot_restores = FastSnapshotRestores(context)
        self.keys = Keys(context)
        self.root_replacements = RootReplacements(context)
        self.snapshot_blocks = SnapshotBlocks(context)
        self.snapshot_copies = SnapshotCopies(context)
        self.snapshots = Snapshots(context)
        self.snapshot_locks = SnapshotLocks(context, self.snapshots)
        self.storage = Storage(context)
        self.snapshot_sizes = SnapshotSizes(context)
        self.snapshot_tiers = SnapshotTiers(context, self.snapshots)
        self.volume_copies = VolumeCopies(context)
        self.volume_io = VolumeIo(context)
        self.volume_modifications = VolumeModifications(context)
        self.volumes = Volumes(context)
