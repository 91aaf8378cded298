"""Programs as the board reads them in: what only a reader of their source needs is taken out.

CircuitPython compiles a module at every start, and keeps every name that it has met for ever. Adafruit's driver of the
camera names 200 registers; with their values in the places of the names it is read in 98 ms instead of 281 and leaves
6 KB of heap taken instead of 10. Our own modules are read in 0.19 s sooner, of 1.6 s, without comments, annotations,
docstrings, what only the PC runs, and spaces (CircuitPython 10.0.0, rp2040py 0.3.6, 125 MHz). What they do stays the
same. Two more things cost heap as long as the program runs: a name that the firmware has not, wherever it stands, some
15 bytes, and a line with code on it one or two, in the table that tracebacks have their numbers from. With short
names for what is private, and statements side by side, 3.1 KB more are free.
"""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from functools import cache
from keyword import iskeyword
from string import ascii_lowercase
from typing import NamedTuple

_NOTE = "# Shortened by picodigits for a quicker start: private constants, comments, annotations. Same behaviour."
_NOTE_USED = "# Shortened by picodigits for a quicker start and more memory: what it does not use is left out."
_OURS = "# Shortened by picodigits for a quicker start; src/picodigits_board/ of the project has it with comments."

_SHORT = [  # a, b ... aa, ab ...
    name for first in ("", *ascii_lowercase) for second in ascii_lowercase if not iskeyword(name := first + second)
]
_SHORT_PRIVATE = [letter.upper() for letter in ascii_lowercase] + [name.upper() for name in _SHORT if len(name) > 1]
_LINE = 120
_IMPORTS = (ast.Import, ast.ImportFrom)


@cache
def lean(source: bytes, asked: frozenset[str] | None = None) -> bytes:
    """The same module without docstrings, comments but for its licence, annotations and names of private constants.

    source  UTF-8 text of a module whose private constants are `_NAME = const(number)`, each assigned once
    asked   what a program uses of it, by name, see `asked_of`: methods, functions and constants that then nobody uses
            are left out, and what is private gets short names; None: all of it
    Raises SyntaxError for text that is no Python.
    """
    licence = [line for line in source.decode().splitlines() if line.startswith("# SPDX-")]
    tree = ast.parse(source.decode())
    if asked is not None:
        _drop_unused(tree, asked)
    tree = _shorter(tree, asked)
    if asked is not None:
        _rename_private({"": tree}, frozenset(), asked)
        keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            _rename_variables(function, asked | keywords)
    return "\n".join([*licence, _NOTE if asked is None else _NOTE_USED, _text(tree), ""]).encode()


def asked_of(modules: Iterable[bytes]) -> frozenset[str]:
    """Every name by which these modules, UTF-8 text, may ask another one for something, and their keywords."""
    trees = [ast.parse(source) for source in modules]
    keywords = {node.arg for tree in trees for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}
    return frozenset(keywords.union(*(_names(tree) for tree in trees)))


def ours(modules: Mapping[str, bytes], keep: Iterable[str] = ()) -> dict[str, bytes]:
    """Modules of picodigits_board as the board needs them: without docstrings, comments, annotations, and what the PC
    alone runs: imports for type checkers, NumPy where there is no ulab. Constants with a NAME_LIKE_THIS stand in the
    place of their names, whole numbers everywhere and what else is used once; those that nobody uses are left out; the
    names stay where another module has them, or code.py. Variables of functions have names of one letter or two, and so
    have parameters that nobody passes by name, and what is private: `_names` with an underscore.

    modules  all that the board runs, by file name; those in `keep` stay as they are
    Raises SyntaxError for text that is no Python.
    """
    trees = {file: ast.parse(source) for file, source in modules.items()}
    _put_numbers_of_others(trees, frozenset(keep))
    names = {file: _names(tree) for file, tree in trees.items()}
    passed = {node.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    short = {}
    for file in modules:
        if file not in keep:
            elsewhere = set().union(*(names[other] for other in names if other != file))
            short[file] = _shorter(trees[file], elsewhere)
    _rename_private({file: trees[file] for file in keep if file in trees} | short, frozenset(keep))
    for tree in short.values():
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            _rename_variables(function, passed)
    return {
        file: "\n".join([_OURS, _text(short[file]), ""]).encode() if file in short else source
        for file, source in modules.items()
    }


def _names(tree: ast.Module) -> set[str]:
    """What a module imports by name, or asks another one for."""
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _shorter(tree: ast.Module, elsewhere: Set[str] | None = None) -> ast.Module:
    made = _Shorter(tree, elsewhere).visit(tree)
    assert isinstance(made, ast.Module)
    return ast.fix_missing_locations(made)


def _text(tree: ast.Module) -> str:
    """Its source, in as few lines as fit."""
    made = re.sub("(?m)^(    )+", lambda spaces: " " * (len(spaces.group()) // 4), ast.unparse(tree))
    joined = _joined([line for line in made.split("\n") if line])
    return joined if ast.dump(ast.parse(joined)) == ast.dump(ast.parse(made)) else made  # text of several lines


def _joined(lines: list[str]) -> str:
    """Simple statements side by side, and behind the `if ...:` that they belong to where they are all that does."""
    depths = [len(line) - len(line.lstrip()) for line in lines]
    made: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if line.lstrip().startswith("@"):
            made.append(line)
            continue
        if line.endswith(":"):
            end = at
            while end < len(lines) and depths[end] > depths[at - 1]:
                end += 1
            alone = line + " " + ";".join([part.lstrip() for part in lines[at:end]])
            if len(alone) > _LINE or any(_is_compound(part) for part in lines[at:end]):
                made.append(line)
            else:
                made.append(alone)
                at = end
            continue
        while at < len(lines) and depths[at] == depths[at - 1] and not _is_compound(lines[at]):
            longer = line + ";" + lines[at].lstrip()
            if len(longer) > _LINE:
                break
            line = longer
            at += 1
        made.append(line)
    return "\n".join(made)


def _is_compound(line: str) -> bool:
    return line.endswith(":") or line.lstrip().startswith("@")


class _Shorter(ast.NodeTransformer):
    """Puts values in the place of private constants, works out arithmetic on numbers, drops what does nothing.

    elsewhere  in a module of ours the names that others ask it for; its constants are no `const(...)`
    """

    def __init__(self, module: ast.Module, elsewhere: Set[str] | None = None) -> None:
        self.constants: dict[str, bool | bytes | complex | float | int | str | None] = {}
        self._elsewhere = elsewhere
        names = [node for node in ast.walk(module) if isinstance(node, ast.Name)]
        self._assigned = [node.id for node in names if isinstance(node.ctx, ast.Store)]
        self._used = [node.id for node in names if isinstance(node.ctx, ast.Load)]

    def visit_Module(self, node: ast.Module) -> ast.AST:
        body: list[ast.stmt] = []
        for part in _without_docstring(node.body):
            made = None if _is_for_type_checkers(part) else self.visit(part)
            body += made if isinstance(made, list) else [made] if made else []
        node.body = body
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
            self.constants[name] = ast.literal_eval(node.value)
            return None
        if self._elsewhere is None or self._assigned.count(name) != 1 or not (name.isupper() or name == "__all__"):
            return node
        if _is_number(node.value) or (isinstance(node.value, ast.Constant) and self._used.count(name) == 1):
            self.constants[name] = ast.literal_eval(node.value)
        elif self._used.count(name) or not _is_literal(node.value):
            return node
        return node if name in self._elsewhere else None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self.constants:
            return ast.Constant(self.constants[node.id])
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


def _put_numbers_of_others(trees: Mapping[str, ast.Module], keep: Set[str]) -> None:
    """Put whole numbers with a NAME_LIKE_THIS that a module has from another one in the place of their names."""
    numbers = {file: _numbers(tree) for file, tree in trees.items()}
    kept = set().union(*(_names(trees[file]) for file in keep if file in trees))
    for _ in trees:  # a module may have it from one that has it from a third
        for file, tree in trees.items():
            for node in [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]:
                known = numbers.get(_file_of(node.module), {})
                numbers[file].update({name.name: known[name.name] for name in node.names if name.name in known})
    for file, tree in trees.items():
        if file not in keep:
            _Imported(numbers, kept).visit(tree)


def _numbers(tree: ast.Module) -> dict[str, int]:
    """The constants of a module that are whole numbers, worked out."""
    made = _Shorter(tree, frozenset())
    made.visit(copy.deepcopy(tree))
    return {name: value for name, value in made.constants.items() if type(value) is int}


def _file_of(module: str | None) -> str:
    return (module or "").removeprefix("picodigits_board.") + ".py"


class _Imported(ast.NodeTransformer):
    """Numbers in the place of names that stand for a number in another module."""

    def __init__(self, numbers: Mapping[str, Mapping[str, int]], kept: Set[str]) -> None:
        self._numbers = numbers
        self._kept = kept
        self._mine: dict[str, int] = {}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        known = self._numbers.get(_file_of(node.module), {})
        self._mine.update({name.name: known[name.name] for name in node.names if name.name in known})
        node.names = [name for name in node.names if name.name not in known or name.name in self._kept]
        return node if node.names else None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(self._mine[node.id]) if node.id in self._mine else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        known = self._numbers.get(_name(node.value) + ".py", {})
        if isinstance(node.ctx, ast.Load) and node.attr in known:
            return ast.Constant(known[node.attr])
        return self.generic_visit(node)


def _drop_unused(tree: ast.Module, asked: Set[str]) -> None:
    """Take out functions and methods for which neither the module nor what is `asked` has the name."""
    while True:
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        used = Counter(_uses(tree))
        for function in functions:
            used.subtract(name for name in _uses(function) if name == function.name)
        unused = {
            function.name
            for function in functions
            if used[function.name] <= 0 and function.name not in asked and not function.name.startswith("__")
        }
        if not unused:
            return
        for body in [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef)]:
            body[:] = [part for part in body if not (isinstance(part, ast.FunctionDef) and part.name in unused)]


def _uses(tree: ast.AST) -> list[str]:
    nodes = list(ast.walk(tree))
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return names + [node.attr for node in nodes if isinstance(node, ast.Attribute)]


def _rename_private(modules: Mapping[str, ast.Module], keep: Set[str], asked: Set[str] = frozenset()) -> None:
    """Give what is private short names, the same ones in one module after the other: `_names` with an underscore that
    are asked for of `self` or inside their module alone, and functions, classes and constants that neither another
    module nor `asked` has the name of.

    Modules in which a class builds on one of another module share theirs, and those in `keep` stay as they are.
    """
    words = {file: _words(tree) for file, tree in modules.items()}
    fixed = set().union(
        asked, *(words[file].named for file in modules), *(words[file].all for file in keep & set(words))
    )
    for family in _families(modules):
        others = set().union(*(words[file].all for file in modules if file not in family))
        here = set().union(*(words[file].all for file in family))
        mine = {name for file in family for name in words[file].defined if _is_private(name)}
        mine |= {name for file in family for name in _of_module(modules[file]) if len(name) > 2 and name not in others}
        free = (name for name in _SHORT_PRIVATE if name not in here)
        short = {name: next(free) for name in sorted(mine - fixed)}
        for node in [node for file in family - keep for node in ast.walk(modules[file])]:
            if isinstance(node, ast.Name):
                node.id = short.get(node.id, node.id)
            elif isinstance(node, ast.Attribute):
                node.attr = short.get(node.attr, node.attr)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                node.name = short.get(node.name, node.name)
            elif isinstance(node, ast.Global):
                node.names = [short.get(name, name) for name in node.names]


class _Words(NamedTuple):
    all: set[str]  # every name in a module
    defined: set[str]  # what it assigns, or defines as a function, a method or a class
    named: set[str]  # what it imports by name, or asks something for that is not `self`


def _words(tree: ast.Module) -> _Words:
    words = _Words(set(), set(), set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            words.all.add(name)
            if isinstance(node.ctx, ast.Store):
                words.defined.add(name)
            if isinstance(node, ast.Attribute) and _name(node.value) != "self":
                words.named.add(name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            words.defined.add(node.name)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            words.all.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            words.all.add(node.name)
        elif isinstance(node, _IMPORTS):
            names = {part for alias in node.names for part in (alias.name.split(".")[0], alias.asname) if part}
            words.all.update(names)
            words.named.update(names)
    words.all.update(words.defined)
    return words


def _of_module(tree: ast.Module) -> set[str]:
    """What a module defines at its top, and uses in no other sense."""
    made = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    made |= {_name(target) for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    nodes = list(ast.walk(tree))
    other = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    other |= {node.arg for node in nodes if isinstance(node, ast.arg | ast.keyword) and node.arg}
    other |= {
        part.name
        for node in nodes
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.FunctionDef)
    }
    return {name for name in made - other if not name.startswith("__")}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and len(name) > 1


def _families(modules: Mapping[str, ast.Module]) -> list[set[str]]:
    """Modules, by file name, together with those that the classes build on which classes of theirs build on."""
    made_in = {
        node.name: file for file, tree in modules.items() for node in tree.body if isinstance(node, ast.ClassDef)
    }
    families = {file: {file} for file in modules}
    for file, tree in modules.items():
        for node in ast.walk(tree):
            for base in node.bases if isinstance(node, ast.ClassDef) else []:
                other = made_in.get(base.attr if isinstance(base, ast.Attribute) else _name(base), file)
                together = families[file] | families[other]
                families.update(dict.fromkeys(together, together))
    return list({id(family): family for family in families.values()}.values())


def _rename_variables(function: ast.FunctionDef, passed: Set[str | None]) -> None:
    """Give the variables of a function short names, and the parameters that are never passed by name. A function in
    which another one is defined stays as it is: which of the two a variable belongs to would have to be found out."""
    arguments = [*function.args.args, *function.args.kwonlyargs]  # decorators and defaults are outside
    nodes = [node for part in (*arguments, *function.body) for node in ast.walk(part)]
    if any(isinstance(node, ast.FunctionDef | ast.Lambda) for node in nodes):
        return
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    parameters = [argument.arg for argument in arguments]
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


def _is_literal(node: ast.AST) -> bool:
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


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
