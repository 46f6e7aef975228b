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
    assert len(set(codes.values())) == len(codes) == 7
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
