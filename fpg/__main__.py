"""`python -m fpg` is the program `fpg`."""

import sys

from fpg.cli.umbrella import main

if __name__ == "__main__":
    sys.exit(main())
