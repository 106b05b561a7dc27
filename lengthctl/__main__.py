"""`python -m lengthctl`."""

from lengthctl.cli import main

main()
