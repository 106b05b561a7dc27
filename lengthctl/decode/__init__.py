"""Length control at inference: one file a control, all over `Backend.generate`."""

from __future__ import annotations
