"""The command line. A verb is a function of the module that is named for what it is about."""

from lengthctl.cli import jobs  # adds its verbs to the app; `--help` lists those of the next after them

# isort: split
from lengthctl.cli import bench, comparing, writing

# isort: split
from lengthctl.cli import score

# isort: split
from lengthctl.cli import data

# isort: split
from lengthctl.cli import data_c3ot, data_long, data_self

# isort: split
from lengthctl.cli import data_sets

# isort: split
from lengthctl.cli import browse
from lengthctl.cli.app import app, main

__all__ = [
    "app",
    "bench",
    "browse",
    "comparing",
    "data",
    "data_c3ot",
    "data_long",
    "data_self",
    "data_sets",
    "jobs",
    "main",
    "score",
    "writing",
]
