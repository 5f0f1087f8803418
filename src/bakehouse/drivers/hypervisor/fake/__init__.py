"""Machines that are only remembered, for tests and for `--simulate`."""

from bakehouse.drivers.hypervisor.fake.driver import FakeHypervisor

__all__ = ["FakeHypervisor"]
