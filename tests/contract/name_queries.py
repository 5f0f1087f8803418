"""Questions to a name server, and its answers, byte by byte: what is under test must not read them itself."""

import socket
import struct
from typing import Final

A: Final = 1
AAAA: Final = 28
NO_ERROR: Final = 0
NAME_ERROR: Final = 3
REFUSED: Final = 5

_DEADLINE_S: Final = 30


def ask(where: tuple[str, int], name: str, kind: int, *, tcp: bool = False) -> tuple[int, list[bytes]]:
    """Return the code of the answer, and the data of its records."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    question = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!2H", kind, 1)
    way = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, way) as client:
        client.settimeout(_DEADLINE_S)
        client.connect(where)
        client.sendall(struct.pack("!H", len(question)) + question if tcp else question)
        answer = client.recv(4096)
        if tcp:
            size = struct.unpack_from("!H", answer)[0] + 2
            while len(answer) < size:
                answer += client.recv(4096)
            answer = answer[2:]
    number, flags, _questions, records = struct.unpack_from("!4H", answer)
    assert number == 7
    found, at = [], len(question)
    for _ in range(records):
        at += 12  # a pointer to the name, type, class, time to live, and the size
        size = struct.unpack_from("!H", answer, at - 2)[0]
        found.append(answer[at : at + size])
        at += size
    return flags & 15, found
