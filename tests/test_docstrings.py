"""What a public function does is said in its first line, and that begins with a verb."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NO_VERBS = (
    *("A", "All", "An", "Another", "At", "Both", "By", "Each", "Every", "For", "How", "If", "In", "It", "Its", "No"),
    *(
        "Of",
        "On",
        "One",
        "Same",
        "That",
        "The",
        "This",
        "To",
        "Two",
        "What",
        "When",
        "Where",
        "Whether",
        "Which",
        "With",
    ),
    *("Edits", "Faces", "Options", "Pictures", "Screens", "Views"),
)
SAID_ELSEWHERE = ("property", "setter", "wraps")  # a property is a thing; a setter and a copy say what the first does


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public ones of a module and of its public classes."""
    bodies = [tree.body]
    for body in bodies:
        public = [node for node in body if not getattr(node, "name", "_").startswith("_")]
        classes = [node for node in public if isinstance(node, ast.ClassDef)]
        bodies += [one.body for one in classes if "Protocol" not in map(ast.unparse, one.bases)]
        functions = [node for node in public if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        yield from (node for node in functions if node.name != "forward")  # the class says what that does


def fault_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    text = ast.get_docstring(function)
    decorators = " ".join(map(ast.unparse, function.decorator_list))
    if any(word in decorators for word in SAID_ELSEWHERE):
        return ""
    if not text:
        return "says nothing"
    first = text.split()[0]
    return f"begins with {first!r}, no verb" if first in NO_VERBS or not first[0].isupper() else ""


def test_public_functions_say_what_they_do_and_begin_with_a_verb():
    folders = ("gan_space", "training", "benchmarks", "docs")
    files = [*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    faults = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name} {fault}"
        for path in files
        for function in functions_of(ast.parse(path.read_text(encoding="utf-8")))
        if (fault := fault_in(function))
    ]
    assert not faults, "\n" + "\n".join(faults)


def test_a_fault_is_found():
    silent = "class A:\n    def b(self): ...\n    @property\n    def c(self): ..."
    for source, number in ((silent, 1), ('def a():\n    """The sum."""', 1), ('def a():\n    """Return it."""', 0)):
        assert len([one for one in functions_of(ast.parse(source)) if fault_in(one)]) == number
