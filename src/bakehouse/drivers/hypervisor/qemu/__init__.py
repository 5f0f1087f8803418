"""Machines as QEMU processes, one run directory each, steered by QMP."""

from bakehouse.drivers.hypervisor.qemu.driver import QemuHypervisor

__all__ = ["QemuHypervisor"]
