"""Machines as QEMU processes, one run directory each, steered by QMP."""
