"""``python -m holdfast_consoles``: the command `holdfast`, for children that must run under this very interpreter."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
