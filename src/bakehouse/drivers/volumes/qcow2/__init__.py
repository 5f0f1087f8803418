"""Volumes as qcow2 layers in a directory: a snapshot seals a layer, a volume is an empty layer on top."""

from bakehouse.drivers.volumes.qcow2.live import Below, LiveDisks, NoLiveDisks, TopSwitch
from bakehouse.drivers.volumes.qcow2.store import Qcow2VolumeStore

__all__ = ["Below", "LiveDisks", "NoLiveDisks", "Qcow2VolumeStore", "TopSwitch"]
