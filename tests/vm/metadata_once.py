"""Answer one IMDSv2 request on standard input and output: what slirp's `guestfwd` starts for each connection.

usage: metadata_once.py TREE.json, an object of path (below /latest/) to content.
"""

import json
import sys
from pathlib import Path

TOKEN = "bread"


def main() -> None:
    tree = json.loads(Path(sys.argv[1]).read_text())
    request = sys.stdin.buffer.readline().decode().split()
    headers = {}
    while line := sys.stdin.buffer.readline().strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    if not request:
        return
    method, path = request[0], request[1].lstrip("/").partition("/")[2].rstrip("/")
    body: str | None = ""
    if method == "PUT" and path == "api/token":
        status, body = "200 OK", TOKEN
    elif headers.get("x-aws-ec2-metadata-token") != TOKEN:
        status = "401 Unauthorized"
    else:
        body = listing(tree, path)
        status = "404 Not Found" if body is None else "200 OK"
    content = (body or "").encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(content)}\r\n"
    ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 300\r\n" if method == "PUT" else ""
    sys.stdout.buffer.write(f"{head}{ttl}Connection: close\r\n\r\n".encode() + content)
    sys.stdout.buffer.flush()


def listing(tree: dict[str, str], path: str) -> str | None:
    """Return a leaf's content or a folder's entries, folders with a slash."""
    if path in tree:
        return tree[path]
    below = sorted({key[len(path) + 1 :] for key in tree if key.startswith(f"{path}/")})
    names = {name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
    return "\n".join(sorted(names)) or None


if __name__ == "__main__":
    main()
