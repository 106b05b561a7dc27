"""What was achieved: metrics with intervals, the comparison before and after, the report."""

__all__: list[str] = []
