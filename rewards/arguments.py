"""Arguments of a reward's class, read off its fields: what they are, and whether a value fits."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from itertools import pairwise
from typing import Any, get_type_hints

from lengthctl.registry import did_you_mean
from lengthctl.rewards.argument_types import choices_of, fits, words_for

__all__ = ["Argument", "arguments_of", "check_arguments"]


@dataclass(frozen=True)
class Argument:
    """One argument; `kind` says which values it takes."""

    name: str
    kind: str
    default: Any
    doc: str
    is_needed: bool = False


def arguments_of(kind: type) -> list[Argument]:
    """Arguments of a dataclass in their order, with the docstrings that stand under the fields."""
    hints, docs = _hints(kind), _docs(kind)
    return [
        Argument(
            name=field.name,
            kind=words_for(hints[field.name]),
            default=_default(field),
            doc=docs.get(field.name, ""),
            is_needed=_is_needed(field),
        )
        for field in _fields(kind)
    ]


def check_arguments(name: str, kind: type, args: Mapping[str, Any]) -> None:
    """Compare arguments with the fields of the dataclass `kind`; a field of another type than `bool`, `int`, `float`,
    `str`, a `Literal`, or one of these or None, is left to the class.

    Raises:
        ValueError: an argument is unknown, missing, or of another type; the message holds the nearest valid one.
    """
    hints, known = _hints(kind), [field.name for field in _fields(kind)]
    for key, value in args.items():
        if key not in known:
            raise ValueError(f"{name} has no argument {key!r}{did_you_mean(key, known) or '; it takes none'}")
        if not fits(value, hints[key]):
            near = did_you_mean(str(value), choices_of(hints[key]))
            remedy = near if "did you mean" in near else ""
            raise ValueError(f"{name}.{key} is {words_for(hints[key])}, found {value!r:.80}{remedy}")
    missing = [field.name for field in _fields(kind) if _is_needed(field) and field.name not in args]
    if missing:
        raise ValueError(f"{name} needs the argument {missing[0]}")


@functools.lru_cache(maxsize=256)
def _hints(kind: type) -> Mapping[str, Any]:
    """Types of the fields, resolved once a class."""
    return get_type_hints(kind)


def _fields(kind: Any) -> list[Field[Any]]:
    """Those that a config may give; what the program itself hands over, such as a judge, is left out of `repr`."""
    return [field for field in fields(kind) if field.init and field.repr]


def _is_needed(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return None if field.default is MISSING else field.default


def _docs(kind: type) -> dict[str, str]:
    """Docstrings under fields, those of base classes included; none where the source is not at hand."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                docs[field.target.id] = inspect.cleandoc(str(getattr(below.value, "value", "")))
    return docs
