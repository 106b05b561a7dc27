"""A small set of good long texts from many: filters with reasons, duplicates away, the best of each class of lengths.

Command: python scripts/curate.py OUT_FOLDER SOURCE... [--size 600] [--any-length] [--seed 0]
SOURCE is instruction data (JSONL, CSV, Parquet or a hub id); a killed command goes on. No model is needed; one CPU core
looks at about 500 texts of 150 words a second. `lengthctl data curate` has more options, a judge among them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lengthctl.config import PromptsConfig
from lengthctl.data_gen.decontamination import strict_contamination
from lengthctl.pipelines.curation import CurationSettings, curate
from lengthctl.progress import Narrator
from lengthctl.prompt_sources import load_seed_prompts


def main() -> None:
    """Curate, and print the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--size", type=int)
    parser.add_argument("--any-length", action="store_true", help="keep rows whose prompt states no length")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    settings = CurationSettings(seed=given.seed, size=given.size, lengths="any" if given.any_length else "stated")
    held_out = [prompt.messages[-1]["content"] for prompt in load_seed_prompts(PromptsConfig(), "eval")]  # type: ignore[call-arg]
    with Narrator().bar(0, "rows measured") as bar:
        curate(given.sources, settings, given.out, contamination=strict_contamination(held_out), on_row=bar.update)
    print((given.out / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
