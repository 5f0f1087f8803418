"""A network fabric in memory."""

from bakehouse.drivers.network.fake.fabric import FakeNetworkFabric

__all__ = ["FakeNetworkFabric"]
