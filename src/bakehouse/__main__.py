"""The `bakehouse` command."""

from bakehouse.cli.main import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
