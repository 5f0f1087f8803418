import json

import pytest

from bakehouse.drivers.hypervisor.qemu.uefi_variables import Variables, VariablesRefused, told

GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"


def variables(**changes: str) -> Variables:
    variable = {"name": "PK", "guid": GLOBAL, "attr": 39, "data": "00"} | changes
    return Variables(json.dumps({"version": 2, "variables": [variable]}).encode())


def test_a_platform_key_enrols_keys() -> None:
    assert variables().enrol_keys


@pytest.mark.parametrize("changes", [{"name": "db"}, {"guid": GLOBAL.replace("8", "9")}, {"data": ""}])
def test_another_variable_does_not(changes: dict[str, str]) -> None:
    assert not variables(**changes).enrol_keys


async def test_blank_flash_memory_holds_no_variables() -> None:
    assert await told(bytes(4096), None) == b"QU1aTlVFRkkA2RzyAAAAAHicY2CAAAAACAAB"


@pytest.mark.parametrize("store", [b"x" * 4096, b"QFI\xfb" + bytes(36) + b"_FVH" + bytes(1000)])
async def test_what_is_no_variable_store_reaches_no_program(store: bytes) -> None:
    with pytest.raises(VariablesRefused, match="no variables"):
        await told(store, None)
