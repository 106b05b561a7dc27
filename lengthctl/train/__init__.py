"""Training: one TRL subclass, and the pure parts that it calls."""

__all__: list[str] = []
