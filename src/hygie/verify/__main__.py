"""``python -m hygie.verify``."""

from hygie.verify.main import main

main()
