"""Tokens of an answer in LaTeX or plain mathematics, and what each kind is for; see `valid_math`."""

from __future__ import annotations

import re

__all__ = [
    "ACCENTS",
    "ADDITIVE",
    "CLOSING",
    "CONSTANTS",
    "ENVIRONMENTS",
    "FRACTIONS",
    "FUNCTIONS",
    "LEADING",
    "MULTIPLICATIVE",
    "OPENING",
    "POSTFIX",
    "RELATIONS",
    "SEPARATORS",
    "SIGNS",
    "TEXTS",
    "tokenize",
]

# One alternative a character at most fails before the next is tried, so time is linear.
_TOKEN = re.compile(
    r"(?P<space>\s+|\\[,;:! ]|~|\\?\$|\\[()\[\]]"
    r"|\\(?:left|right|[bB]igg?[lr]?|q?quad|displaystyle|textstyle|limits|nolimits|not)(?![A-Za-z])\.?)"
    r"|(?P<environment>\\(?:begin|end)\{[a-zA-Z]{1,12}\*?\})"
    r"|(?P<command>\\(?:[A-Za-z]+|[{}|%#&_\\]))"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"|(?P<symbol>\.\.\.|<=|>=|!=|==|:=|->|=>|.)",
    re.DOTALL,
)


def _commands(names: str) -> frozenset[str]:
    return frozenset("\\" + name for name in names.split())


SIGNS = frozenset("+-\u2212\u2013\u00b1") | _commands("pm mp neg lnot")
ADDITIVE = (
    SIGNS | frozenset("\u222a\u2229") | _commands("cup cap setminus oplus ominus vee wedge lor land bigcup bigcap")
)
MULTIPLICATIVE = frozenset("*/:\u00d7\u00b7\u00f7\u22c5") | _commands(
    "times cdot div ast star circ otimes bmod mod colon backslash"
)
RELATIONS = frozenset(
    ["=", "==", ":=", "!=", "<", ">", "<=", ">=", "->", "=>", *"\u2260\u2264\u2265\u2248\u2208\u2192"]
) | _commands(
    "le leq leqslant ge geq geqslant lt gt ne neq approx sim simeq equiv cong in notin ni subset subseteq supset"
    " supseteq mid parallel perp to rightarrow longrightarrow Rightarrow implies iff Leftrightarrow"
    " leftrightarrow mapsto propto"
)
LEADING = RELATIONS - frozenset(["=", "==", ":=", "!=", "->", "=>"])
"""Relations that may stand without a left side, as in `\\approx 8.24`."""
SEPARATORS = frozenset(",;") | _commands("and")
POSTFIX = frozenset("!'%\u00b0\u2032\u00b2\u00b3") | _commands("% prime degree degrees dagger")
OPENING = frozenset("([") | _commands("{ langle lfloor lceil lvert lVert lbrace lbrack")
CLOSING = frozenset(")]") | _commands("} rangle rfloor rceil rvert rVert rbrace rbrack")
FRACTIONS = _commands("frac dfrac tfrac cfrac binom dbinom tbinom")
ACCENTS = _commands(
    "overline underline vec hat widehat bar tilde widetilde dot ddot overrightarrow overleftarrow overbrace underbrace"
    " mathbb mathbf mathcal mathfrak mathsf mathit boldsymbol bm boxed fbox pmod"
)
TEXTS = _commands("text textnormal textbf textit textrm texttt mathrm mbox operatorname")
FUNCTIONS = _commands(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp max min sup inf gcd lcm det dim ker"
    " arg deg lim limsup liminf sum prod int iint oint Re Im Pr"
)
CONSTANTS = _commands(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho"
    " sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
    " infty emptyset varnothing ell hbar partial nabla forall exists top bot angle triangle square aleph imath jmath"
    " ldots cdots dots vdots ddots dotsc checkmark"
) | frozenset(["...", "\u2026", "\u221e", "\u2205"])
ENVIRONMENTS = frozenset(
    [
        *("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix"),
        *("array", "cases", "aligned", "align", "align*", "gathered"),
    ]
)


def tokenize(text: str) -> list[str]:
    """Tokens in order: numbers, commands, `\\begin{name}` and `\\end{name}`, single characters; without what only
    spaces, sizes or delimits mathematics. `{,}` between digits is a comma."""
    tokens = [match.group() for match in _TOKEN.finditer(text.replace("{,}", ",")) if match.lastgroup != "space"]
    return tokens[:-1] if tokens[-1:] == ["."] else tokens
