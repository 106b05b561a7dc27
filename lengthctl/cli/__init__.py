"""The command line. A verb is a function in `jobs.py` (it samples or trains) or `browse.py` (it only reads)."""

from lengthctl.cli import jobs  # adds its verbs to the app; `--help` lists those of the next after them

# isort: split
from lengthctl.cli import browse
from lengthctl.cli.app import app, main

__all__ = ["app", "browse", "jobs", "main"]
