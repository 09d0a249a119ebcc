"""The command line: `python cli.py --help`."""

import sys

from commands.main import main

if __name__ == "__main__":
    sys.exit(main())
