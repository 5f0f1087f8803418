#!/usr/bin/env python3
"""Print user data that installs the employee directory on an instance. It needs nothing from the network.

Usage:
    user_data.py             for an image with systemd and Python 3.11, such as Debian 12
    user_data.py --minimal   for an image with nothing but busybox

Both are shell scripts in ASCII with their files inside, so that cloud-init and simpler agents can run them,
and both are the same bytes each time they are made from the same files.
"""

import argparse
import ast
import gzip
import io
import json
import lzma
import sys
import tarfile
from base64 import b85encode, encodebytes
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent

#: Before base64. Source: EC2 User Guide, "Run commands when you launch an EC2 instance with user data input".
LIMIT_BYTES: Final = 16 * 1024

#: Text compresses better where positions are not taken for multiples of four.
LZMA: Final = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "pb": 0}

FULL: Final = """\
#!/bin/sh
# Installs the employee directory: a web application with its systemd units, behind nginx where there is one.
# Its files follow as JSON, lzma and base85, without comments, to fit in user data. Sources: see bakehouse,
# examples/employee-directory.
set -eu
python3 -c '
import base64, json, lzma, pathlib, sys
files = json.loads(lzma.decompress(base64.b85decode(sys.stdin.read().strip())))
for name, text in files.items():
    path = pathlib.Path("/opt/employee-directory", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
' <<'END'
%s
END
exec sh /opt/employee-directory/system/install
"""

MINIMAL: Final = """\
#!/bin/sh
# Installs the employee directory as a shell script under busybox httpd, started at every boot.
set -eu
base64 -d <<'END' | tar -xz -C /
%s
END
exec /etc/local.d/employee-directory.start
"""


class UserDataTooLarge(Exception):
    """EC2 would refuse it."""


def full() -> bytes:
    """Return the user data for an image with systemd and Python.

    Raises:
        UserDataTooLarge: The application has outgrown user data.
    """
    package = HERE / "employee_directory"
    # By kind, as like compresses best after like.
    paths = [path for kind in ("py", "html", "css") for path in sorted(package.rglob(f"*.{kind}"))]
    paths += sorted((HERE / "system").iterdir())
    files = {str(path.relative_to(HERE)): without_comments(path) for path in paths}
    text = json.dumps(files, ensure_ascii=False).encode()
    return _document(FULL, b85encode(lzma.compress(text, lzma.FORMAT_ALONE, filters=[LZMA])))


def minimal() -> bytes:
    """Return the user data for an image with nothing but busybox.

    Raises:
        UserDataTooLarge: The application has outgrown user data.
    """
    tree = HERE / "minimal"
    files = {str(path.relative_to(tree)): path for path in sorted(tree.rglob("*")) if path.is_file()}
    files["opt/employee-directory/www/style.css"] = HERE / "employee_directory" / "style.css"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, path in files.items():
            # The rest of a TarInfo stays as it is made: time 0, user 0. So equal files make equal bytes.
            member = tarfile.TarInfo(name)
            content = path.read_bytes()
            member.size = len(content)
            member.mode = 0o755 if content.startswith(b"#!") else 0o644
            archive.addfile(member, io.BytesIO(content))
    return _document(MINIMAL, encodebytes(gzip.compress(packed.getvalue(), mtime=0)).rstrip())


def without_comments(path: Path) -> str:
    """Return a file's text without docstrings and comment lines, which are a third of it."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("# "))
    module = ast.parse(text)
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(module) + "\n"


def _document(script: str, packed: bytes) -> bytes:
    document = (script % packed.decode("ascii")).encode("ascii")
    if len(document) > LIMIT_BYTES:
        raise UserDataTooLarge(f"{len(document)} bytes, of {LIMIT_BYTES} that EC2 takes")
    return document


def main() -> None:
    """Print the user data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minimal", action="store_true", help="for an image with nothing but busybox")
    options = parser.parse_args()
    try:
        sys.stdout.buffer.write(minimal() if options.minimal else full())
    except UserDataTooLarge as err:
        parser.exit(1, f"error: the user data is too large: {err}\n")


if __name__ == "__main__":
    main()
