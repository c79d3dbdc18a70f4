"""`python -m gan_space` is the same as `gan-space`."""

from __future__ import annotations

import sys

from gan_space.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
