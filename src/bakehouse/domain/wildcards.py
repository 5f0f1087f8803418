r"""Wildcards as EC2 has them in filters and elsewhere: `*` for any text, `?` for any one character.

No pattern takes long, whoever wrote it: an expression made here never tries an asterisk twice. The first place where
the text between two asterisks stands is as good as any later one, hence the atomic groups.
"""

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def wildcards(patterns: tuple[str, ...], *, escapes: bool) -> re.Pattern[str]:
    r"""Return what fully matches a text that one of the patterns takes. With `escapes`, `\` makes the next plain."""
    return re.compile("|".join(_expression(pattern, escapes=escapes) for pattern in patterns), re.DOTALL)


def _expression(pattern: str, *, escapes: bool) -> str:
    first, *others = _between_asterisks(pattern, escapes=escapes)
    if not others:
        return first
    return first + "".join(f"(?>.*?{piece})" for piece in others[:-1]) + ".*" + others[-1]


def _between_asterisks(pattern: str, *, escapes: bool) -> list[str]:
    pieces = [""]
    for piece in re.findall(r"\\.|." if escapes else ".", pattern, re.DOTALL):
        if piece == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if piece == "?" else re.escape(piece[-1])
    return pieces
