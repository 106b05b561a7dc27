"""Loops over the rooms: each reads as the list of its stages."""

__all__: list[str] = []
