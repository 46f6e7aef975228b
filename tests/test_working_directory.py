"""Files where a person works replace no module of ours, whichever process imports it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnexp.system.children import environment_of
from tests.grids import thin

ROOT = Path(__file__).parents[1]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}
RAISES = "raise RuntimeError('imported ' + __file__)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where someone keeps a random.py, a queue.py and a numpy.py."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("random", "queue", "numpy"):
        (folder / f"{name}.py").write_text(RAISES, encoding="utf-8")
    return folder


@pytest.mark.dist
@pytest.mark.slow
def test_a_sweep_beside_modules_and_a_checkout_of_other_names_runs_the_installed_code(
    folder: Path, tmp_path: Path
) -> None:
    """Joblib's processes, torchrun and what it starts: each imports its own. The command is what pip installs."""
    (folder / "gnexp").mkdir()
    (folder / "gnexp" / "__init__.py").write_text(RAISES, encoding="utf-8")
    command = tmp_path / "gnexp"
    command.write_text("import sys\nfrom gnexp.cli.main import main\nsys.exit(main())\n", encoding="utf-8")
    words = ["sweep", "experiment=null", "scale=smoke", "norm=gn", "batch=4", "workers=2", "processes=2"]
    done = subprocess.run(
        [sys.executable, str(command), *words, "threads=1", "data.num_train=16", "data.num_val=8"],
        cwd=folder,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(folder.glob("runs/*/result.json"))) == 1


@pytest.mark.parametrize("is_installed", thin([True, False]))
def test_python_m_gnexp_beside_modules_of_other_names(folder: Path, is_installed: bool) -> None:
    """A checkout that is not installed is found in the working directory, and there alone."""
    env = dict(ENV)
    if not is_installed:
        for name in ("gnexp", "conf", "hydra_plugins"):
            (folder / name).symlink_to(ROOT / name)
        del env["PYTHONPATH"]
    code = (
        "import os, runpy, sys\n"
        "sys.argv = ['gnexp', 'sweep', 'dry_run=true']\n"
        # As where gnexp is not installed: this very checkout may be, in editable mode.
        f"sys.path = [place for place in sys.path if os.path.abspath(place or '.') != {str(ROOT)!r}]\n"
        "runpy.run_module('gnexp', run_name='__main__')\n"
    )
    words = ["-m", "gnexp", "sweep", "dry_run=true"] if is_installed else ["-c", code]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " to do" in done.stdout


def test_what_a_child_inherits() -> None:
    told = environment_of({"PYTHONPATH": f"{os.pathsep}/x{os.pathsep}", "A": "b"})
    assert told == {"PYTHONPATH": "/x", "A": "b", "PYTHONSAFEPATH": "1", "OMP_WAIT_POLICY": "passive"}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        told = environment_of({name: "what the user wants"})
        assert told == {name: "what the user wants", "PYTHONSAFEPATH": "1"}
