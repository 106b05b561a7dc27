"""lengthctl: make an open LLM hit a requested length, prove that it does, and do it fast."""

__version__ = "0.1.0"
