"""Curation of many long texts: seconds a row in tenths of the set, and the most memory that was held.

Command: python scripts/bench/curate.py [OUT.json] [--rows 100000]   (one CPU core, under 5 minutes for 100,000 rows)
The rows are made on the way and read from a file, as a source is; a tenth of them are copies or nearly so. The process
that makes the file is not the one that is measured.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

WORDS = 150
VOCABULARY = 20_000


def main() -> None:
    """Make the rows, curate them, print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only-rows", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_rows is not None:
        make_rows(given.only_rows, given.rows)
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.jsonl"
        command = [sys.executable, __file__, "--rows", str(given.rows), "--only-rows", str(source)]
        subprocess.run(command, check=True)
        told = json.dumps(measure(source, Path(folder) / "out", given.rows), indent=2)
    print(told)
    if given.out is not None:
        given.out.write_text(told + "\n", encoding="utf-8")


def make_rows(path: Path, n: int) -> None:
    """Requests that state a length, and texts of invented words that have about it."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(VOCABULARY)]
    last = ""
    with path.open("w", encoding="utf-8") as file:
        for i in range(n):
            text = last if i % 10 == 9 else article(rng, words)
            last = text
            if i % 20 == 19:  # nearly a copy
                text = f"{' '.join(rng.choices(words, k=3)).capitalize()}. {text}"
            subject = " ".join(rng.choices(words, k=8))
            row = {"id": str(i), "prompt": f"Write about {WORDS} words on {subject}.", "completion": text}
            file.write(json.dumps(row) + "\n")


def article(rng: random.Random, words: list[str]) -> str:
    """Sentences in paragraphs."""
    drawn = rng.choices(words, k=rng.randint(WORDS * 4 // 5, WORDS * 6 // 5))
    sentences = [" ".join(drawn[start : start + 12]).capitalize() + "." for start in range(0, len(drawn), 12)]
    return "\n\n".join(" ".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5))


def measure(source: Path, out: Path, n: int) -> dict[str, object]:
    """Curate once."""
    from lengthctl.data_gen.decontamination import strict_contamination
    from lengthctl.pipelines.curation import CurationSettings, curate

    began = time.perf_counter()
    marks = [began]

    def on_row(done: int) -> None:
        if done * 10 // n >= len(marks):
            marks.append(time.perf_counter())

    settings = CurationSettings(size=max(1, n // 100))
    stats = curate([str(source)], settings, out, contamination=strict_contamination(["Write a song"]), on_row=on_row)
    ended = time.perf_counter()
    tenths = [round(1e3 * 10 * (b - a) / n, 3) for a, b in pairwise(marks)]
    (about,) = stats["sources"]
    return {
        "rows": n,
        "words_a_row": WORDS,
        "ms_a_row_in_tenths": tenths,
        "last_tenth_to_first": round(tenths[-1] / tenths[0], 3),
        "seconds_looking": round(marks[-1] - began, 2),
        "seconds_choosing": round(ended - marks[-1], 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3),
        "used": about["used"],
        "dropped": about["dropped"],
    }


if __name__ == "__main__":
    main()
