"""`python -m runner`: the same as the command `eyas`."""

from runner.cli.main import main

if __name__ == "__main__":
    main()
