"""Train the tiny model in as many processes as the launcher starts; the first writes what came out.

Command: python -m torch.distributed.run --nproc_per_node 2 tests/support/two_ranks.py FOLDER OPTIONS_AS_JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tiny_trainer import make_trainer, numbers

from lengthctl.train.ranks import is_main, join_ranks, leave_ranks

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
join_ranks(60)
trainer = make_trainer(folder, **options)
trainer.train()
if is_main():
    torch.save(trainer.model.state_dict(), folder / "state.pt")
    (folder / "numbers.json").write_text(json.dumps(numbers(trainer)))
leave_ranks()
