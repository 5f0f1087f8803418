"""Hypervisor drivers: implementations of `bakehouse.ports.hypervisor`."""
