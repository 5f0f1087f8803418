"""Promises that CONTRIBUTING.md makes about the tree as a whole."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Without the revisions of the database: each is as long as its change.
PYTHON_FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("src", "tests", "script", "bench", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations/versions" not in path.as_posix()
)
PAGES = sorted(page.relative_to(ROOT) for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))


def functions_of(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / path).read_text())
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body; the docstring is not counted, so that nobody saves on it."""
    first = function.body[1:2] if ast.get_docstring(function) else function.body[:1]
    return (function.end_lineno or 0) - first[0].lineno + 1 if first else 0


def test_a_file_has_at_most_400_lines() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in PYTHON_FILES}

    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


def test_a_function_has_at_most_60_lines() -> None:
    long = [f"{path}: {it.name}" for path in PYTHON_FILES for it in functions_of(path) if length(it) > 60]

    assert long == []


def test_a_link_of_a_page_leads_to_a_file() -> None:
    targets = [
        (page, target)
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", (ROOT / page).read_text())
    ]

    assert [f"{page}: {target}" for page, target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []
