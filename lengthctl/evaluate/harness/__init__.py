"""Tasks for lm-evaluation-harness: `lengthctl_tlg` and `lengthctl_s_l`, scored by lengthctl's own functions.

lm_eval --include_path "$(python -m lengthctl.evaluate.harness)" --tasks lengthctl_tlg --apply_chat_template ...
"""

__all__: list[str] = []
