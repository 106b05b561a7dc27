"""Run as a process: vLLM with our logits processor, fp32; prints what the rules did to real logits as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from lengthctl.config import ModelConfig
from lengthctl.models import BUNDLED, load_tokenizer, resolve_model

ASKED = (
    "Tell me about rain.",
    "Name a colour.",
    "What is two plus two?",
    "Write about a dog.",
    "Say hello.",
    "Who are you?",
)
STEPS = 5


def main() -> None:
    from vllm import LLM, SamplingParams

    tokenizer = load_tokenizer(ModelConfig())
    (end,) = tokenizer.stop_token_ids
    prompts = [{"prompt_token_ids": list(tokenizer.prompt_ids([{"role": "user", "content": a}]))} for a in ASKED]
    force = tokenizer.encode(" So the answer is")
    rules: list[dict[str, Any]] = [
        {},
        {"stop_scale": {"tokens": [end], "mode": "bias", "value": 1.5}},
        {"stop_scale": {"tokens": [end], "mode": "raw", "value": 0.5}},
        {"stop_scale": {"tokens": [end], "mode": "logp", "value": 2.0}},
        {"token_budget": {"limit": 1, "force": list(force)}},
        {},
    ]
    llm = LLM(
        model=resolve_model(BUNDLED),
        dtype="float32",
        enforce_eager=True,
        max_model_len=256,
        max_logprobs=-1,
        logprobs_mode="processed_logits",
        logits_processors=["lengthctl.decode.processors:LogitRules"],
        enable_prefix_caching=False,
        seed=0,
    )

    def run(which: list[int], settings: list[dict[str, Any]], steps: int = STEPS) -> list[Any]:
        params = [
            SamplingParams(
                temperature=0,
                max_tokens=steps,
                logprobs=-1,
                ignore_eos=True,
                extra_args={"lengthctl": {"rules": rule}} if rule else None,
            )
            for rule in settings
        ]
        outputs = llm.generate([prompts[i] for i in which], params, use_tqdm=False)
        return [output.outputs[0] for output in outputs]

    everything = list(range(len(ASKED)))
    together = run(everything, rules)
    untouched = run(everything, [{} for _ in rules], steps=1)
    alone = [run([i], [rules[i]])[0] for i in everything]
    found = {
        "vocabulary": len(untouched[0].logprobs[0]),
        "batch_difference": [_difference(a, b) for a, b in zip(together, alone, strict=True)],
        "forced": list(together[4].token_ids[1 : 1 + len(force)]) == list(force),
        "shift": {
            name: _first_step(together[i].logprobs[0], untouched[i].logprobs[0], end)
            for i, name in ((0, "none"), (1, "bias"), (2, "raw"), (3, "logp"), (5, "none_too"))
        },
    }
    json.dump(found, sys.stdout)


def _difference(a: Any, b: Any) -> float:
    """Largest difference of any logit over all steps; infinite where the tokens differ."""
    if list(a.token_ids) != list(b.token_ids):
        return float("inf")
    pairs = (
        (step[token].logprob, other[token].logprob)
        for step, other in zip(a.logprobs, b.logprobs, strict=True)
        for token in step
    )
    return max((abs(x - y) for x, y in pairs if x != y), default=0.0)


def _first_step(with_rule: Any, without: Any, end: int) -> dict[str, Any]:
    import math

    others = max(abs(with_rule[t].logprob - without[t].logprob) for t in without if t != end)
    total = math.log(sum(math.exp(entry.logprob) for entry in without.values()))
    return {"before": without[end].logprob, "after": with_rule[end].logprob, "others": others, "logsumexp": total}


if __name__ == "__main__":
    main()
