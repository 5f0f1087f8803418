"""Volumes that are only names and sizes, for `--simulate` and for tests of everything above."""

from bakehouse.drivers.volumes.fake.store import FakeVolumeStore

__all__ = ["FakeVolumeStore"]
