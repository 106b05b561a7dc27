"""All speed ratios in one run, into one file.

Command: make bench   (two CPU cores: about 50 minutes; or: python scripts/bench [OUT.json])
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ("scoring", "makespan", "update", "batching", "judge", "room", "engines", "step")
"""From the quickest to the slowest; each in a process of its own, so that none finds the other's threads or memory."""


def main(out: Path) -> None:
    """Run the parts; what is done is written at once, and one that fails does not keep the others."""
    results: dict[str, object] = {}
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            print(f"{part} ...", file=sys.stderr)
            file = Path(folder) / f"{part}.json"
            command = [sys.executable, str(HERE / f"{part}.py"), str(file)]
            failed += subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0
            results[part] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
            out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bench.json"))
