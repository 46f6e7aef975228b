"""What processes of gnexp end with, and that it is said in one place."""

import ast
import signal
from pathlib import Path

import gnexp
from gnexp.system import exit_codes

PACKAGE = Path(gnexp.__file__).parent


def test_a_killed_process_may_have_been_short_of_memory_and_no_other():
    assert exit_codes.ended_by(signal.SIGKILL) == "ended by SIGKILL; was memory short?"
    assert exit_codes.ended_by(signal.SIGSEGV) == "ended by SIGSEGV"


def test_codes_differ_and_stand_in_one_module_with_the_words_on_memory():
    codes = {name: value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")}
    assert len(set(codes.values())) == len(codes) == 8
    places = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        targets = [
            t for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assign) for t in node.targets
        ]
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        if "was memory short" in text or any(name.lstrip("_").startswith("EXIT_") for name in names):
            places.append(path.relative_to(PACKAGE).as_posix())
    assert places == ["system/exit_codes.py"]


COUNTS = {"_end_children", "_num_local"}  # what they return is a number of processes


def literal_codes(source):
    """Where a function of a command returns, raises or compares an exit code as a bare number."""
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)):
        if function.returns is None or ast.unparse(function.returns) != "int" or function.name in COUNTS:
            continue
        for node in ast.walk(function):
            is_code = isinstance(node, ast.Assign) and "code" in ast.unparse(node.targets[0])
            values = [node.value] if (is_code or isinstance(node, ast.Return)) and node.value else []
            values += [n for v in values if isinstance(v, ast.IfExp) for n in (v.body, v.orelse)]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "SystemExit"):
                values += node.args
            if any(isinstance(v, ast.Constant) and type(v.value) is int for v in values):
                yield f"{function.name}, line {node.lineno}"


def test_commands_end_with_named_codes():
    folders = ("cli", "sweep", "launch", "../hydra_plugins")
    paths = [path for folder in folders for path in sorted((PACKAGE / folder).rglob("*.py"))]
    assert len(paths) > 30
    found = {path.name: list(literal_codes(path.read_text(encoding="utf-8"))) for path in paths}
    assert {name: where for name, where in found.items() if where} == {}
    planted = "def main(words) -> int:\n    return 0 if words else 2\n"
    assert list(literal_codes(planted)) == ["main, line 2"]
