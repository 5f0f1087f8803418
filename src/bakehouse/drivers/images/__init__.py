"""Bakes bootable disk images from the distribution's own packages, without root and without mounting anything."""
