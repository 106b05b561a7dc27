"""From prompts to completions: one small backend interface over a Ray pool of vLLM engines, an endpoint, a script."""

from lengthctl.rollout.backend import Backend, Request, Sampling

__all__ = ["Backend", "Request", "Sampling"]
