"""``python -m hygie`` is the same as ``hygie``."""

from __future__ import annotations

from hygie.cli.main import main

if __name__ == "__main__":
    main()
