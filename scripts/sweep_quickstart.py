"""The small search behind configs/quickstart.yaml: one seed, whole runs, judged on training prompts only.

Command: python scripts/sweep_quickstart.py OUT_FOLDER   (two CPU cores of 400 GFLOP/s: about 10 minutes a variant)
The held-out prompts take no part: each variant is judged by its own samples of training prompts, over the last four
steps.
Writes sweep.json into the folder as it goes; finished variants are not run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lengthctl.records import read_records

STEPS, LAST = 20, 4
SEED = 7
ALL = ["train.keep_best=null", "train.keep_worst=null"]


def groups(prompts: int, members: int) -> list[str]:
    """Overrides for so many groups a step of so many members."""
    return [f"trainer.num_generations={members}", f"trainer.per_device_train_batch_size={prompts * members}"]


VARIANTS: dict[str, list[str]] = {
    "as shipped": [],
    "TRL's advantages": ["train.survivor_decay=null"],
    "8 prompts x 8, all trained": [*groups(8, 8), *ALL],
    "Adam's beta1 0.9": ["trainer.adam_beta1=0.9"],
    "loss dapo": ["trainer.loss_type=dapo"],
    "learning rate 1e-4": ["trainer.learning_rate=1e-4"],
}
MEASURES = ("mean_abs_relative_deviation", "fm", "truncation", "repetition")


def run_variant(folder: Path, name: str, overrides: list[str]) -> dict[str, float | str]:
    """Train one variant, and average the log of its last steps."""
    slug = "".join(c if c.isalnum() else "-" for c in name)
    fixed = [
        f"trainer.max_steps={STEPS}",
        f"run.seed={SEED}",
        f"run.dir={folder}",
        f"run.name={slug}",
    ]
    command = [sys.executable, "-m", "lengthctl", "train", "quickstart", *fixed, "evaluate.limit=1", *overrides]
    subprocess.run([*command, "--clean"], check=True, stdout=subprocess.DEVNULL)
    steps = [record for _, record in read_records(folder / slug / "metrics.jsonl")]
    last = steps[-LAST:]
    means = {m: sum(r[f"adherence/words/{m}"] for r in last) / LAST for m in MEASURES}
    return {"variant": name, **means, "minutes": sum(r["step_time"] for r in steps) / 60}


def main(folder: Path) -> None:
    """Run what is missing and print the table."""
    path = folder / "sweep.json"
    done = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    folder.mkdir(parents=True, exist_ok=True)
    for name, overrides in VARIANTS.items():
        if all(row["variant"] != name for row in done):
            done.append(run_variant(folder, name, overrides))
            path.write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
    for row in done:
        print("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{v:<34}" for k, v in row.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/sweep"))
