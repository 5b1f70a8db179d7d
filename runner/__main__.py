"""The command `eyas`, and `python -m runner`."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    # Starting makes many objects that stay: collecting in between costs 10 ms and frees nothing.
    gc.set_threshold(50_000, 20, 20)
    from runner.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
