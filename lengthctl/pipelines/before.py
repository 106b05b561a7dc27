"""What a run compares itself with: the untouched model on the held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lengthctl.evaluate.metrics import summarise
from lengthctl.models import load_tokenizer
from lengthctl.pipelines.evaluation import untouched
from lengthctl.pipelines.sampling import Sample, asking_control, sample_prompts, write_samples
from lengthctl.prompts import LengthPrompt
from lengthctl.records import read_records
from lengthctl.rundir import write_atomic
from lengthctl.scoring import Scored

if TYPE_CHECKING:
    from lengthctl.config import Config
    from lengthctl.progress import Narrator
    from lengthctl.rollout.pool import RolloutPool
    from lengthctl.rundir import RunFolder

__all__ = ["evaluate_before", "is_measured"]

Samples = list[Sample]


def is_measured(run: RunFolder) -> bool:
    """The untouched model was sampled before the run was interrupted."""
    return (run.path / "samples" / "before.jsonl").is_file()


def evaluate_before(
    config: Config, run: RunFolder, pool: RolloutPool | None, held_out: Sequence[LengthPrompt], narrator: Narrator
) -> tuple[Samples, dict[str, Any]]:
    """The untouched model with its own template and, when that differs, with the template of training; the better one
    is `before`. The samples are kept, so a resumed run does not draw them again."""
    variants = {"model_template": untouched(config)}
    if (config.model.chat_template, config.model.system_prompt) != (None, None):
        variants["run_template"] = config
    results: dict[str, Samples] = {}
    for name, variant in variants.items():
        path = run.path / "samples" / f"before.{name}.jsonl"
        if path.is_file():
            results[name] = _read_samples(path, held_out)
            continue
        assert pool is not None, "is_measured said that nothing is owed"
        tokenizer = load_tokenizer(variant.model)
        title, spec = f"before ({name})", asking_control(variant)
        results[name] = sample_prompts(variant, pool, tokenizer, held_out, narrator, title, spec=spec)
        write_samples(path, results[name])
    summaries = {name: summarise([s.scored for s in rows], config.run.seed) for name, rows in results.items()}
    best = min(summaries, key=lambda name: summaries[name]["overall"]["mean_abs_relative_deviation"]["value"])
    chosen = (run.path / "samples" / f"before.{best}.jsonl").read_text(encoding="utf-8")
    write_atomic(run.path / "samples" / "before.jsonl", chosen)
    return results[best], {"chosen": best, **summaries}


def _read_samples(path: Path, prompts: Sequence[LengthPrompt]) -> Samples:
    by_key = {(p.seed_id, p.target.label): p for p in prompts}
    rows: Samples = []
    for _, record in read_records(path):
        scored = Scored.parse(record)
        rows.append(Sample(by_key[(scored.prompt_id, scored.target.label)], scored, record))
    return rows
