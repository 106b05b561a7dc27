"""Length-controlled training data from seed prompts: one file a method, each over a rollout backend."""

__all__: list[str] = []
