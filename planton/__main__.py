"""`python -m planton`: the command."""

import sys

from planton.cli import main

if __name__ == "__main__":
    sys.exit(main())
