"""Programs as the board reads them in: what only a reader of their source needs is taken out.

CircuitPython compiles a module at every start, and keeps every name that it has met for ever. Adafruit's driver of the
camera names 200 registers; with their values in the places of the names it is read in 98 ms instead of 281 and leaves
6 KB of heap taken instead of 10. Our own modules are read in 0.19 s sooner, of 1.6 s, without comments, annotations,
docstrings, what only the PC runs, and spaces (CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz). What they do stays the
same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Set
from functools import cache
from keyword import iskeyword
from string import ascii_lowercase

_NOTE = "# Shortened by picodigits for a quicker start: private constants, comments, annotations. Same behaviour."
_OURS = "# Shortened by picodigits for a quicker start; src/picodigits_board/ of the project has it with comments."

_SHORT = [  # a, b ... aa, ab ...
    name for first in ("", *ascii_lowercase) for second in ascii_lowercase if not iskeyword(name := first + second)
]
_IMPORTS = (ast.Import, ast.ImportFrom)


@cache
def lean(source: bytes) -> bytes:
    """The same module without docstrings, comments but for its licence, annotations and names of private constants.

    source  UTF-8 text of a module whose private constants are `_NAME = const(number)`, each assigned once
    Raises SyntaxError for text that is no Python.
    """
    licence = [line for line in source.decode().splitlines() if line.startswith("# SPDX-")]
    return "\n".join([*licence, _NOTE, _shortened(source), ""]).encode()


def ours(modules: Mapping[str, bytes], keep: Iterable[str] = ()) -> dict[str, bytes]:
    """Modules of picodigits_board as the board needs them: without docstrings, comments, annotations, and what the PC
    alone runs: imports for type checkers, NumPy where there is no ulab. Whole numbers with a NAME_LIKE_THIS stand in
    the place of their names; the names stay where another module has them, or code.py. Variables of functions have
    names of one letter or two, and so have parameters that nobody passes by name.

    modules  all that the board runs, by file name; those in `keep` stay as they are
    Raises SyntaxError for text that is no Python.
    """
    trees = {file: ast.parse(source) for file, source in modules.items()}
    names = {file: _names(tree) for file, tree in trees.items()}
    passed = {node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    made = {}
    for file, source in modules.items():
        elsewhere = set().union(*(names[other] for other in names if other != file))
        made[file] = source if file in keep else "\n".join([_OURS, _shortened(source, elsewhere, passed), ""]).encode()
    return made


def _names(tree: ast.Module) -> set[str]:
    """What a module imports by name, or asks another one for."""
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _shortened(source: bytes, elsewhere: Set[str] | None = None, passed: Set[str | None] = frozenset()) -> str:
    tree = ast.parse(source.decode())
    tree = ast.fix_missing_locations(_Shorter(tree, elsewhere).visit(tree))
    if elsewhere is not None:
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            _rename_variables(function, passed)
    made = ast.unparse(tree)
    return re.sub("(?m)^(    )+", lambda spaces: " " * (len(spaces.group()) // 4), made)


class _Shorter(ast.NodeTransformer):
    """Puts values in the place of private constants, works out arithmetic on numbers, drops what does nothing.

    elsewhere  in a module of ours the names that others ask it for; its constants are no `const(...)`
    """

    def __init__(self, module: ast.Module, elsewhere: Set[str] | None = None) -> None:
        self._constants: dict[str, int] = {}
        self._elsewhere = elsewhere
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

    def visit_Try(self, node: ast.Try) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.body if _is_board_or_pc(node) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value) if node.value is not None else None

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        is_const = isinstance(node.value, ast.Call) and _name(node.value.func) == "const"
        self.generic_visit(node)
        name = _name(node.targets[0])
        if is_const and name.startswith("_") and self._assigned.count(name) == 1:
            self._constants[name] = ast.literal_eval(node.value)
            return None
        if (
            self._elsewhere is not None
            and _is_number(node.value)
            and name.isupper()
            and self._assigned.count(name) == 1
        ):
            self._constants[name] = ast.literal_eval(node.value)
            return node if name in self._elsewhere else None
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
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def _rename_variables(function: ast.FunctionDef, passed: Set[str | None]) -> None:
    """Give the variables of a function short names, and the parameters that are never passed by name. A function in
    which another one is defined stays as it is: which of the two a variable belongs to would have to be found out."""
    nodes = list(ast.walk(function))
    if any(isinstance(node, ast.FunctionDef | ast.Lambda) and node is not function for node in nodes):
        return
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    parameters = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    fixed = {"self", *passed}
    fixed.update(name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names)
    mine = [name for name in dict.fromkeys([*parameters, *sorted(bound)]) if name not in fixed]
    taken = {node.id for node in nodes if isinstance(node, ast.Name)} | set(parameters)
    taken |= {node.name for node in nodes if isinstance(node, ast.ExceptHandler) and node.name}
    taken |= {alias.asname or alias.name for node in nodes if isinstance(node, _IMPORTS) for alias in node.names}
    free = (name for name in _SHORT if name not in taken)
    short = {name: name if len(name) == 1 else next(free) for name in mine}
    for node in nodes:
        if isinstance(node, ast.Name):
            node.id = short.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = short.get(node.arg, node.arg)


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
    """`try:` imports that the board does not have, `except ImportError: pass`; TYPE_CHECKING and what depends on it;
    annotations from the future."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    if isinstance(node, ast.Assign):
        return _name(node.targets[0]) == "TYPE_CHECKING"
    if isinstance(node, ast.If):
        return _name(node.test) == "TYPE_CHECKING" and not node.orelse
    return (
        isinstance(node, ast.Try)
        and not node.orelse
        and all(isinstance(part, ast.Import | ast.ImportFrom) for part in node.body)
        and all(isinstance(part, ast.Pass) for handler in node.handlers for part in handler.body)
    )


def _is_board_or_pc(node: ast.Try) -> bool:
    """`try:` what the board has, ulab among it, `except ImportError:` what takes its place on the PC."""
    return any(isinstance(part, ast.ImportFrom) and part.module == "ulab" for part in node.body)
