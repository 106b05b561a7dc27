"""The frame of every training job: who leads it, and the files that it ends with."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.report import write_report
from lengthctl.pipelines.publish import push_model, write_card
from lengthctl.pipelines.run_summary import process_seconds
from lengthctl.rundir import write_json
from lengthctl.train.ranks import is_main

if TYPE_CHECKING:
    from lengthctl.progress import Narrator
    from lengthctl.rundir import RunFolder

__all__ = ["run_job"]


def run_job(
    run: RunFolder,
    narrator: Narrator,
    *,
    lead: Callable[[], dict[str, Any]],
    follow: Callable[[], object],
    push: str | None,
) -> dict[str, Any] | None:
    """Run a job in its folder.

    Args:
        run: an open run folder.
        narrator: where progress goes.
        lead: what the first trainer process does; returns the summary.
        follow: what the others do: they only train.
        push: hub repository to upload `model/` to, with the user's own login.

    Returns:
        What `summary.json` holds; None in trainer processes other than the first.
    """
    narrator.stages["start"] = narrator.stages.get("start", 0.0) + process_seconds()  # imports, for the most part
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    if not is_main():
        follow()
        return None
    summary = lead()
    write_json(run.summary, summary)
    write_card(run, summary)
    write_report(run.path)
    if push is not None:
        push_model(run.model_dir, push)
    return summary
