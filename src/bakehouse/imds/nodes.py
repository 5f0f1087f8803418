"""What the tree is made of."""

from collections.abc import Iterable


class Directory(dict[str, "Node"]):
    """Nodes by name. Read itself, it lists the names, one on a line, directories with a slash."""

    def listing(self) -> str:
        """Return the lines, without a line feed after the last."""
        return "\n".join(f"{name}/" if isinstance(node, Directory) else name for name, node in self.items())


class PlainDirectory(Directory):
    """A directory of the top levels, where AWS lists names without slashes."""

    def listing(self) -> str:
        """Return the bare names."""
        return "\n".join(self)


class PublicKeys(Directory):
    """The only directory whose lines are not its names: the key's number, `=`, the key pair's name."""

    def __init__(self, key_names: Iterable[str], nodes: Iterable[Directory]) -> None:
        """Number the keys from 0."""
        super().__init__((str(number), node) for number, node in enumerate(nodes))
        self._key_names = tuple(key_names)

    def listing(self) -> str:
        """Return lines such as `0=my-key`."""
        return "\n".join(f"{number}={name}" for number, name in enumerate(self._key_names))


Node = Directory | str | bytes
