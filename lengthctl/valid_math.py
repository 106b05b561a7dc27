"""Is a text valid mathematics? A grammar of answers as models write them, LaTeX or plain; nothing is evaluated.

Recursive descent over at most 200 characters, one token of look-ahead and no way back: time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Callable

from lengthctl.math_tokens import (
    ACCENTS,
    ADDITIVE,
    CLOSING,
    CONSTANTS,
    ENVIRONMENTS,
    FRACTIONS,
    FUNCTIONS,
    LEADING,
    MULTIPLICATIVE,
    OPENING,
    POSTFIX,
    RELATIONS,
    SEPARATORS,
    SIGNS,
    TEXTS,
    tokenize,
)

__all__ = ["is_valid_math"]

_MAX_CHARACTERS = 200
_MAX_DEPTH = 20
_LONE_SCRIPTS = frozenset(["+", "-", "*", "\\circ", "\\prime", "'", "\\top", "\\ast", "\\perp", "\\star", "\\dagger"])


def is_valid_math(text: str) -> bool:
    """The text is a number, an expression, an equation or inequality, a tuple, interval, set, list or matrix of these.

    Right: `1`, `\\frac{3}{2}`, `x^2 + 12y =1`, `(0,\\infty)`; wrong: an empty text, `x +* 2`, `(0,1 `. A letter is a
    variable and a word a product of them, so words pass, as they do in the code of the paper, and `\\text{...}` passes
    with anything in it. Round and square brackets close each other (half-open intervals). Commands of LaTeX that
    answers don't use are wrong, and so is a text of more than 200 characters, or nested more than 20 deep.
    Source: the examples of arXiv 2505.19439, A.8; the grammar is ours.
    """
    if len(text) > _MAX_CHARACTERS:
        return False
    parser = _Parser(tokenize(text))
    try:
        parser.list()
    except _WrongError:
        return False
    return parser.next is None


class _WrongError(Exception):
    """The text leaves the grammar."""


class _Parser:
    """One method a rule; each takes its tokens or raises `_WrongError`."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self._bar_closes = False
        self._bar_relates = False

    @property
    def next(self) -> str | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def list(self) -> None:
        """Relations between separators."""
        self._relation()
        while self.next in SEPARATORS:
            self._place += 1
            self._relation()

    def _relation(self) -> None:
        if self.next in LEADING:
            self._place += 1
        self._sum()
        while self.next in RELATIONS or (self.next == "|" and self._bar_relates):
            self._place += 1
            self._sum()

    def _sum(self) -> None:
        self._signed()
        while self.next in ADDITIVE:
            self._place += 1
            self._signed()

    def _signed(self) -> None:
        if self.next in SIGNS:
            self._place += 1
        self._product()

    def _product(self) -> None:
        self._factor()
        while True:
            if self.next in MULTIPLICATIVE:
                self._place += 1
                if self.next in SIGNS:
                    self._place += 1
            elif not self._starts_factor():
                return
            self._factor()

    def _starts_factor(self) -> bool:
        token = self.next
        if token is None:
            return False
        if token in ("|", "\\|"):
            return not (self._bar_closes or self._bar_relates)
        return _is_plain(token) or token in _COMPOUND or token in OPENING or token == "{" or token.startswith("\\begin")

    def _factor(self) -> None:
        token = self.next
        if token is None:
            raise _WrongError
        if _is_plain(token):
            self._place += 1
        elif token in ("|", "\\|"):
            self._enclosed(lambda other: other == token, bar=True)
        elif token in OPENING:
            self._enclosed(lambda other: other in CLOSING, relates=token in ("\\{", "\\lbrace"))
        elif token == "{":
            self._enclosed(lambda other: other == "}")
        elif token in _COMPOUND:
            self._place += 1
            self._nested(lambda: self._compound(token))
        elif token.startswith("\\begin"):
            self._nested(self._environment)
        else:
            raise _WrongError
        self._scripts()

    def _scripts(self) -> None:
        while (token := self.next) is not None and (token in POSTFIX or token in ("^", "_")):
            self._place += 1
            if token in ("^", "_"):
                self._nested(self._script)

    def _script(self) -> None:
        group = self._tokens[self._place : self._place + 3]
        if group[:1] == ["{"] and len(group) == 3 and group[1] in _LONE_SCRIPTS and group[2] == "}":
            self._place += 3
        elif self.next in _LONE_SCRIPTS:
            self._place += 1
            if group[0] in SIGNS and self.next is not None and self.next[0].isdecimal():  # 10^-3
                self._place += 1
        else:
            self._argument()

    def _argument(self) -> None:
        """What a command takes: a group, a command with its own, or one token (`\\frac12` takes a digit each)."""
        token = self.next
        if token is not None and token[0].isdecimal() and len(token) > 1:
            self._tokens[self._place] = token[1:]
        elif token == "{":
            self._enclosed(lambda other: other == "}")
        elif token in _COMPOUND:
            self._place += 1
            self._nested(lambda: self._compound(str(token)))
        elif token is not None and _is_plain(token):
            self._place += 1
        else:
            raise _WrongError

    def _compound(self, command: str) -> None:
        """What stands behind a command that has arguments."""
        if command in TEXTS:
            self._raw_group()
        elif command in FUNCTIONS:
            self._scripts()
            self._signed()
        elif command == "\\sqrt":
            if self.next == "[":
                self._enclosed(lambda other: other == "]")
            self._argument()
        else:
            for _ in range(2 if command in FRACTIONS else 1):
                self._argument()

    def _enclosed(self, closes: Callable[[str], bool], *, bar: bool = False, relates: bool = False) -> None:
        """A list between brackets. Within bars a bar closes them; within braces of a set it stands for `such that`."""
        before = self._bar_closes, self._bar_relates
        self._bar_closes, self._bar_relates = bar, relates
        self._place += 1
        self._nested(self.list)
        if self.next is None or not closes(self.next):
            raise _WrongError
        self._place += 1
        self._bar_closes, self._bar_relates = before

    def _raw_group(self) -> None:
        """A group of words, which is not read but for its braces; it holds something."""
        start, depth = self._place, 0
        while self.next is not None:
            depth += (self.next == "{") - (self.next == "}")
            self._place += 1
            if depth < 1:
                break
        if self._tokens[start : start + 1] != ["{"] or depth != 0 or self._place - start < 3:
            raise _WrongError

    def _environment(self) -> None:
        """Rows of cells up to the end of the same name."""
        name = str(self.next).removeprefix("\\begin{").removesuffix("}")
        end = f"\\end{{{name}}}"
        if name not in ENVIRONMENTS:
            raise _WrongError
        self._place += 1
        if name == "array":
            self._raw_group()
        self.list()
        while self.next in ("&", "\\\\"):
            self._place += 1
            if self.next != end:
                self.list()
        if self.next != end:
            raise _WrongError
        self._place += 1

    def _nested(self, rule: Callable[[], None]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _WrongError
        rule()
        self._depth -= 1


_COMPOUND = FRACTIONS | ACCENTS | TEXTS | FUNCTIONS | {"\\sqrt"}


def _is_plain(token: str) -> bool:
    """A number, a letter of any script, or a constant."""
    return token[0].isdecimal() or (token[0] == "." and len(token) > 1) or token.isalpha() or token in CONSTANTS
