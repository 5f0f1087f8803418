"""Volumes that are only names and sizes, for `--simulate` and for tests of everything above."""

from bakehouse.drivers.volumes.fake.disk_files import FakeDiskFiles
from bakehouse.drivers.volumes.fake.store import FakeVolumeStore

__all__ = ["FakeDiskFiles", "FakeVolumeStore"]
