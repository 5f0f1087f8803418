"""HTML from template files, in which forgetting to escape is not possible."""

from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Final

TEMPLATES: Final = Path(__file__).parent / "templates"


class Html(str):
    """Text that is HTML already. Only `render` and `join` make it from values."""

    __slots__ = ()


def render(template: str, /, **values: object) -> Html:
    """Fill a template in. Each value is escaped unless it is Html; one that is missing is a KeyError."""
    safe = {name: value if isinstance(value, Html) else escape(str(value)) for name, value in values.items()}
    return Html(_template(template).substitute(safe))


def join(parts: Iterable[Html]) -> Html:
    """Put pieces one after the other."""
    return Html("".join(parts))


@cache
def _template(name: str) -> Template:
    return Template((TEMPLATES / f"{name}.html").read_text("utf-8"))
