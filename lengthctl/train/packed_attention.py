"""Attention over one flat row of many sequences: each completion looks at its prompt and at itself, at nothing else.

The flat row is `[prompt | completion | completion | prompt | ...]`: no position of it is padding, a prompt stands once
for all its completions, and no score is computed only to be masked. Registered with transformers under a name of its
own; a forward without segments (reference model, old logprobs) takes sdpa. Ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch

__all__ = ["PACKED_ATTENTION", "Segment", "register_packed_attention"]

PACKED_ATTENTION = "lengthctl_packed"

_PLAIN_TOKENS = 1024
"""Longest context at which plain matrix products, which keep their probabilities, beat the fused CPU kernel in speed
and at affordable memory: forward and backward of a layer over 1,024 tokens in rows of 128 / 256 / 512 / 1,024 take
9 / 15 / 25 / 53 ms against 26 / 25 / 40 / 65 ms (torch 2.13, two AVX512 cores, bf16)."""

_NOT_ATTENDED = ("softcap", "s_aux", "sliding_window", "head_mask")
"""Arguments of attention functions in transformers 5.17 that change the result and are not served here."""


@dataclass(frozen=True)
class Segment:
    """A stretch of the flat row that attends causally to itself, behind all of a prefix."""

    start: int
    end: int
    prefix_start: int = 0
    prefix_end: int = 0

    @property
    def context(self) -> int:
        """Keys that its last token sees."""
        return self.end - self.start + self.prefix_end - self.prefix_start


def register_packed_attention() -> None:
    """Make `PACKED_ATTENTION` known to transformers; `model.set_attn_implementation` then takes it."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(PACKED_ATTENTION, _attention)
    AttentionMaskInterface.register(PACKED_ATTENTION, sdpa_mask)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed_segments: Sequence[Segment] | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' contract: query (B, H, T, D), key and value (B, K, T, D) to (B, T, H, D); with segments B is 1."""
    if packed_segments is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
        return out, None
    unserved = [name for name in _NOT_ATTENDED if kwargs.get(name) is not None]
    if unserved or dropout:
        raise ValueError(f"packed attention serves no {unserved[0] if unserved else 'dropout'}")
    device = query.device.type
    if torch.is_autocast_enabled(device):
        query, key, value = (part.to(torch.get_autocast_dtype(device)) for part in (query, key, value))
    scale = query.size(-1) ** -0.5 if scaling is None else scaling
    if device == "cpu" and max(segment.context for segment in packed_segments) <= _PLAIN_TOKENS:
        out = _PlainAttention.apply(query[0], key[0], value[0], scale, packed_segments)
    elif device == "cuda" and _suits_flash(query):
        out = _flash_attention(query[0], key[0], value[0], scale, tuple(packed_segments))
    else:
        out = _fused_attention(query[0], key[0], value[0], scale, packed_segments)
    return out[None], None


def _suits_flash(query: torch.Tensor) -> bool:
    """What torch's flash kernel takes: half precision, an Ampere GPU or later, heads of up to 256."""
    is_recent = torch.cuda.get_device_capability(query.device) >= (8, 0)
    width = query.size(-1)
    return is_recent and query.dtype in (torch.bfloat16, torch.float16) and width <= 256 and width % 8 == 0


def _flash_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, segments: tuple[Segment, ...]
) -> torch.Tensor:
    """(T, H, D), by one kernel for all segments; the segments stand in order and cover the row.

    A segment's queries are the last of its context, and the kernel lines causal queries up with the last keys."""
    from torch.nn.attention.varlen import varlen_attn

    seen, query_ends, key_ends, most_queries, most_keys = _layout(segments, query.device)
    groups = query.size(0) // key.size(0)
    keys, values = (part.transpose(0, 1)[seen].repeat_interleave(groups, dim=1) for part in (key, value))
    out: torch.Tensor = varlen_attn(
        query.transpose(0, 1).contiguous(),
        keys,
        values,
        query_ends,
        key_ends,
        most_queries,
        most_keys,
        scale=scale,
        window_size=(-1, 0),  # causal
    )
    return out


@lru_cache(maxsize=2)
def _layout(
    segments: tuple[Segment, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
    """Places of all contexts one behind the other, ends of queries and of contexts (N + 1 each), and the longest of
    each; every layer asks for the same."""
    places = [
        place
        for segment in segments
        for stretch in (range(segment.prefix_start, segment.prefix_end), range(segment.start, segment.end))
        for place in stretch
    ]
    queries, contexts = [segment.end - segment.start for segment in segments], [segment.context for segment in segments]
    query_ends, key_ends = (
        torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device) for lengths in (queries, contexts)
    )
    return torch.tensor(places, device=device), query_ends, key_ends, max(queries), max(contexts)


def _fused_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, segments: Sequence[Segment]
) -> torch.Tensor:
    """(T, H, D), by torch's own kernel a segment; the segments stand in order and cover the row."""
    queries = query.split([segment.end - segment.start for segment in segments], dim=1)
    parts = []
    for own, segment in zip(queries, segments, strict=True):
        keys, values = (_context(part, segment) for part in (key, value))
        sees = torch.ones(own.size(1), segment.context, dtype=torch.bool, device=own.device)
        sees = sees.tril(segment.prefix_end - segment.prefix_start)
        with torch.autocast(own.device.type, enabled=False):
            parts.append(
                torch.nn.functional.scaled_dot_product_attention(
                    own[None], keys[None], values[None], attn_mask=sees, scale=scale, enable_gqa=True
                )[0]
            )
    return torch.cat(parts, dim=1).transpose(0, 1)


def _context(part: torch.Tensor, segment: Segment) -> torch.Tensor:
    """(K, context, D): keys or values of the prefix and of the segment."""
    own = part[:, segment.start : segment.end]
    if segment.prefix_start == segment.prefix_end:
        return own
    return torch.cat([part[:, segment.prefix_start : segment.prefix_end], own], dim=1)


class _PlainAttention(torch.autograd.Function):  # type: ignore[misc]  # torch is skipped by mypy here
    """Matrix products a segment: forward and backward write into their place, where autograd would fill a row of zeros
    for every segment. Query (H, T, D), key and value (K, T, D) to (T, H, D); H is a multiple of K."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        segments: Sequence[Segment],
    ) -> torch.Tensor:
        heads, tokens, width = query.shape
        groups = key.size(0)
        out = query.new_empty(tokens, groups, heads // groups, width)
        by_group = (query * scale).view(groups, heads // groups, tokens, width)
        saved = []
        with torch.autocast(query.device.type, enabled=False):
            for segment in segments:
                place = slice(segment.start, segment.end)
                own = by_group[:, :, place].reshape(groups, -1, width)
                keys, values = _context(key, segment), _context(value, segment)
                scores = torch.bmm(own, keys.transpose(1, 2))
                _hide_later(scores, segment)
                weights = torch.softmax(scores, dim=-1)
                attended = torch.bmm(weights, values).view(groups, heads // groups, -1, width)
                out[place] = attended.permute(2, 0, 1, 3)
                saved += [own, keys, values, weights]
        ctx.save_for_backward(*saved)
        ctx.segments, ctx.scale, ctx.shapes = segments, scale, (query.shape, key.shape)
        return out.view(tokens, heads, width)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (heads, tokens, width), key_shape = ctx.shapes
        groups, gradient = key_shape[0], gradients[0]
        by_group = gradient.reshape(tokens, groups, -1, width).permute(1, 2, 0, 3)
        to_query = gradient.new_empty(groups, heads // groups, tokens, width)
        # A prompt gathers from all its completions: in fp32 at least.
        precise = torch.promote_types(gradient.dtype, torch.float32)
        to_key, to_value = (torch.zeros(key_shape, dtype=precise, device=gradient.device) for _ in range(2))
        saved = iter(ctx.saved_tensors)
        for segment in ctx.segments:
            own, keys, values, weights = (next(saved) for _ in range(4))
            place, prefix = slice(segment.start, segment.end), slice(segment.prefix_start, segment.prefix_end)
            at = by_group[:, :, place].reshape(groups, -1, width)
            to_weights = torch.bmm(at, values.transpose(1, 2))
            to_scores = torch.ops.aten._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            to_query[:, :, place] = torch.bmm(to_scores, keys).view(groups, heads // groups, -1, width)
            shared = prefix.stop - prefix.start
            for total, part in (
                (to_key, torch.bmm(to_scores.transpose(1, 2), own)),
                (to_value, torch.bmm(weights.transpose(1, 2), at)),
            ):
                total[:, place] += part[:, shared:]
                total[:, prefix] += part[:, :shared]
        dtype = gradient.dtype
        return to_query.view(heads, tokens, width).mul_(ctx.scale), to_key.to(dtype), to_value.to(dtype), None, None


def _hide_later(scores: torch.Tensor, segment: Segment) -> None:
    """Minus infinity where a token would see a later one of its segment; scores (K, rows of H / K heads, context)."""
    own = segment.end - segment.start
    later = torch.full((own, own), float("-inf"), dtype=scores.dtype, device=scores.device).triu_(1)
    scores.view(scores.size(0), -1, own, scores.size(2))[..., -own:].add_(later)
