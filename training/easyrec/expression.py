"""EasyRec's ExprFeature: arithmetic, comparisons, & and | over columns of numbers."""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[np.float64]]

LONGEST = 500  # signs; so that no tree is too deep to walk
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
}
JOINED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
EXPECTED = "expected numbers, columns of input_names, + - * / ( ), one of < <= == >= >, & and |"


@dataclass(frozen=True)
class Expression:
    """An expression that was read; `source` is as it was written."""

    source: str
    tree: ast.expr

    def __call__(self, columns: Mapping[str, Numbers]) -> Numbers:
        """Return its value for each row, float64[n]: a truth is 1 or 0.

        NaN where a column is, whether it would matter or not, and where a division is by 0.
        """
        with np.errstate(all="ignore"):
            found = np.asarray(_value(self.tree, columns), dtype=np.float64)
        rows = np.broadcast_to(found, np.shape(next(iter(columns.values()))))
        known = np.all([np.isfinite(one) for one in columns.values()], axis=0)
        return np.where(known & np.isfinite(rows), rows, np.nan)


def read_expression(source: str, columns: Collection[str]) -> Expression:
    """Read an expression over `columns`; nothing of it is ever run as code.

    EasyRec takes what & and | join from left to right, and the comparison before them for a part
    of the next: what would mean another thing there than it does in arithmetic is refused.

    Raises:
        ValueError: It is none; says what was expected.

    """
    text = source.strip()
    if len(text) > LONGEST:
        raise ValueError(f"at most {LONGEST} signs")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(EXPECTED.removeprefix("expected ")) from None
    _check(tree, text, columns)
    return Expression(text, tree)


def _check(node: ast.expr, text: str, columns: Collection[str]) -> bool:
    """Check a part of an expression; return whether it is a truth, and no number."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return False
        case ast.Name(id=name) if name in columns:
            return False
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            return _all(False, [inner], text, columns)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return _all(False, [left, right], text, columns)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARED:
            _all(False, [left, right], text, columns)
            return True
        case ast.BinOp(left=left, op=op, right=right) if type(op) in JOINED:
            if isinstance(right, ast.BinOp) and not _in_brackets(right, text):
                raise ValueError("brackets around what & and | join, which stand for no order")
            return _all(True, [left, right], text, columns)
    told, part = EXPECTED.removeprefix("expected "), ast.get_source_segment(text, node)
    if isinstance(node, ast.Compare) and len(node.ops) > 1:  # as `a > 1 & b > 2` is read
        told = "each comparison in brackets of its own, as in (a > 1) & (b > 2)"
    raise ValueError(f"{told}; not {part!r}")


def _all(is_truth: bool, parts: list[ast.expr], text: str, columns: Collection[str]) -> bool:
    for part in parts:
        if _check(part, text, columns) != is_truth:
            told = "a comparison in brackets" if is_truth else "a number"
            raise ValueError(f"{told} in place of {ast.get_source_segment(text, part)!r}")
    return is_truth


def _in_brackets(node: ast.expr, text: str) -> bool:
    line = text.encode().split(b"\n")[node.lineno - 1]  # columns of a tree count bytes
    return line[: node.col_offset].rstrip().endswith(b"(")


def _value(node: ast.expr, columns: Mapping[str, Numbers]) -> Any:
    match node:
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]  # `_check` let numbers pass only
        case ast.Name(id=name):
            return columns[name]
        case ast.UnaryOp(op=op, operand=inner):
            found = _value(inner, columns)
            return -found if isinstance(op, ast.USub) else found
        case ast.BinOp(left=left, op=op, right=right):
            join = (ARITHMETIC | JOINED)[type(op)]
            return join(_value(left, columns), _value(right, columns))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return COMPARED[type(op)](_value(left, columns), _value(right, columns))
    raise AssertionError(ast.dump(node))
