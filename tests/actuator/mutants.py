"""Mutants of one module: its syntax tree with one small fault each, as modules that can be called.

Faults: another comparison, a negated or forced condition, `and` for `or` and one side of it left out, other numbers and
words, other arithmetic, `min` for `max`, a call's argument dropped to its neighbour, a statement's value gone. Words in
f-strings are for people and stay.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip
NAMES = {"max": "min", "min": "max", "all": "any", "any": "all", "isfinite": "isnan"}


def mutants(source: str) -> Iterator[tuple[str, CodeType]]:
    """Each mutant as code, with a word on where and what."""
    tree = ast.parse(source)
    for node in _nodes(tree):
        for what, change in _changes(node):
            sound = {name: list(value) if isinstance(value, list) else value for name, value in vars(node).items()}
            change(node)
            yield (
                f"line {getattr(node, 'lineno', 0)}: {what}",
                compile(ast.fix_missing_locations(tree), "mutant", "exec"),
            )
            vars(node).update(sound)


def module_of(code: CodeType, name: str = "mutant") -> ModuleType:
    """The module that some code makes."""
    module = ModuleType(name)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        exec(code, module.__dict__)
    finally:
        del sys.modules[name]
    return module


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """Every node whose change matters, in a fixed order: no annotations, docstrings, decorators or words for people."""
    found = [tree]
    for child in ast.iter_child_nodes(tree):
        if isinstance(
            child, ast.JoinedStr | ast.arguments | ast.ImportFrom | ast.Import | ast.ClassDef | ast.AnnAssign
        ):
            continue
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if child is getattr(tree, "returns", None):
            continue
        found += _nodes(child)
    return found


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in COMPARISONS.get(type(op), ()):
                yield f"{type(op).__name__} -> {other.__name__}", _setter("ops", i, other)
    if isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{type(node.op).__name__} -> {other.__name__}", lambda n: setattr(n, "op", other())
        for i in range(len(node.values)):
            neutral = isinstance(node.op, ast.And)
            yield f"side {i} left out", lambda n, i=i, v=neutral: n.values.__setitem__(i, ast.Constant(v))
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        swapped = ARITHMETIC[type(node.op)]
        yield f"{type(node.op).__name__} -> {swapped.__name__}", lambda n: setattr(n, "op", swapped())
    yield from _word_changes(node)


def _word_changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not left out", lambda n: setattr(n, "op", ast.UAdd())
    if isinstance(node, ast.If | ast.IfExp):
        for forced in (True, False):
            yield f"condition always {forced}", lambda n, v=forced: setattr(n, "test", ast.Constant(v))
    if isinstance(node, ast.Constant):
        for value in _other_constants(node.value):
            yield f"{node.value!r} -> {value!r}", lambda n, v=value: setattr(n, "value", v)
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield f"{node.id} -> {NAMES[node.id]}", lambda n: setattr(n, "id", NAMES[n.id])
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield f"{node.attr} -> {NAMES[node.attr]}", lambda n: setattr(n, "attr", NAMES[n.attr])
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield "returns None", lambda n: setattr(n, "value", ast.Constant(None))


def _setter(field: str, index: int, kind: type[ast.AST]) -> Callable[[ast.AST], None]:
    return lambda node: getattr(node, field).__setitem__(index, kind())


def _other_constants(value: object) -> tuple[object, ...]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int | float):
        return (value + 1, value - 1, 2 * value if value else 0.5, 0.5 * value if value else -0.5)
    return (f"{value}x",) if isinstance(value, str) else ()
