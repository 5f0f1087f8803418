"""What a server takes for the memory of its guests."""

from pathlib import Path

import pytest

from bakehouse.bootstrap.host_memory import capacity_of, host_memory_mib
from bakehouse.settings import InvalidSettings, Settings, load


def test_guests_may_have_the_memory_of_the_host() -> None:
    assert capacity_of(Settings()).guest_memory_mib == host_memory_mib()


def test_a_container_may_have_less(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("134217728\n")

    assert host_memory_mib(limit) == 128


def test_a_container_without_limit_has_the_memory_of_the_host(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text("max\n")

    assert host_memory_mib(limit) == host_memory_mib(tmp_path / "not there")


def test_simulated_guests_have_as_much_as_they_like() -> None:
    assert capacity_of(Settings(simulate=True)).guest_memory_mib is None


def test_settings_say_otherwise(tmp_path: Path) -> None:
    environment = {
        "BAKEHOUSE_GUEST_MEMORY_MIB": "4096",
        "BAKEHOUSE_INSTANCE_LIMIT": "5",
        "BAKEHOUSE_VCPU_LIMIT": "8",
    }

    capacity = capacity_of(load(tmp_path, environment, simulate=True))

    assert (capacity.guest_memory_mib, capacity.instances, capacity.vcpus) == (4096, 5, 8)


@pytest.mark.parametrize("text", ["-1", "much"])
def test_a_limit_is_a_number(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidSettings):
        load(tmp_path, {"BAKEHOUSE_GUEST_MEMORY_MIB": text})
