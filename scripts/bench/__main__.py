"""All speed ratios in one run, into one file.

Command: make bench   (two CPU cores: about 40 minutes; or: python scripts/bench [OUT.json])
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("makespan", "update", "engines", "step")
"""From the quickest to the slowest; each in a process of its own, so that none finds the other's threads or memory."""


def main(out: Path) -> None:
    """Run the parts; what is done is written at once."""
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            print(f"{part} ...", file=sys.stderr)
            file = Path(folder) / f"{part}.json"
            subprocess.run([sys.executable, str(HERE / f"{part}.py"), str(file)], check=True, stdout=subprocess.DEVNULL)
            results[part] = json.loads(file.read_text(encoding="utf-8"))
            out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bench.json"))
