"""The pages that are made from the code say what it does today."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from bakehouse.ec2.operations import SERVICES

_SCRIPT = Path(__file__).parents[2] / "script" / "reference.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _load()


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_reference_page_is_current(name: str) -> None:
    assert reference.is_current(name, reference.PAGES[name]()), "run script/reference"


PAGE: str = reference.operations()

#: Rows of tables, cell by cell.
ROWS = [[cell.strip() for cell in line.strip("|").split(" |")] for line in PAGE.splitlines() if line.startswith("| `")]


@cache
def botocore_model(service: str) -> Any:
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def names_of(text: str) -> list[str]:
    """Return every member that a cell names, `A.(B, C)` written out."""
    return re.findall(r"\w+", text)


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name in botocore_model("ec2").operation_names
        if re.search(r"Image|FastLaunch|UefiData|RecycleBin|(Import|Export|Conversion|Bundle)Task", name)
        or name in {"BundleInstance", "ImportInstance", "ImportSnapshot", "ImportVolume", "CreateInstanceExportTask"}
    ),
)
def test_every_operation_of_the_model_on_images_is_on_the_page(name: str) -> None:
    (row,) = [cells for cells in ROWS if cells[0] == f"`{name}`"]

    if name not in SERVICES["ec2"]:
        assert re.fullmatch(r"refused: \w.{20,}", row[1])
    else:
        assert re.fullmatch(r"answered|refused: \w.{20,}", row[1])


@pytest.mark.parametrize(
    ("service", "name"), [(service, name) for service, operations in SERVICES.items() for name in sorted(operations)]
)
def test_every_member_of_an_operation_is_said_to_be_honoured_or_refused(service: str, name: str) -> None:
    shape = botocore_model(service).operation_model(name).input_shape
    (summary, honoured, refused) = next(cells for cells in ROWS if cells[0].startswith(f"`{name}`: "))

    for member in shape.members if shape else ():
        said = [member in names_of(honoured), member in names_of(refused), f"Repeats `{member}`" in summary]
        assert any(said) or member == "DryRun", member
