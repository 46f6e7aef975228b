"""Rules of the whole tree, kept by small tests instead of documents."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gnexp
from gnexp.config.keys import conf_dir

ROOT = Path(__file__).parents[1]
MAX_LINES = 350  # a person reads a file at one go
MAX_README = 120
# What docs/design.md calls chunk, segment, std or difference, aggregate and unsupported. [] keeps them from this file.
OTHER_WORDS = ("p[i]eces?", "s[i]ttings?", "d[e]viations?", "t[a]lly", "c[o]mbine[sd]?", "cannot be h[a]d")
MAX_ROOMS, MAX_ARROWS = 20, 80  # of gnexp/, and "this room imports from that one" between them
MAX_MIB = 60  # of the tree without ignored files: it is carried to a GPU machine (docs/gpu.md)
# In parts, so that this file does not name what it forbids.
REGISTRY_HOSTS = [
    "".join(parts)
    for parts in (
        ("py", "pi", ".org"),
        ("python", "hosted.org"),
        ("download.", "pytorch.org"),
        ("registry.", "npmjs"),
        ("deb.", "debian.org"),
        ("conda", ".anaconda.org"),
    )
]
# What the parent of a trainer imports; a torch there costs every command seconds and 650 MB.
PARENT = [
    "gnexp",
    "gnexp.cli.main",
    "gnexp.cli.completion",
    "gnexp.compose.composer",
    "gnexp.config",
    "gnexp.config.experiment",
    "gnexp.report",
    "gnexp.runs.result",
    "gnexp.config.keys",
    "gnexp.launch.launch",
    "gnexp.sweep.run",
]


def project_files() -> list[Path]:
    """Files that are or could be committed, relative to the root."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("needs a git checkout")
    return [path for path in map(Path, filter(None, listed.stdout.split("\0"))) if (ROOT / path).is_file()]


def modules_loaded_by(module: str, cwd: Path = ROOT) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["gnexp", "hydra_plugins"])
def test_no_file_is_too_long_to_read_at_one_go(package):
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / package).rglob("*.py")
    }
    assert lengths
    assert not {str(path): length for path, length in lengths.items() if length > MAX_LINES}


def test_one_word_has_one_meaning_and_no_other_word_has_it():
    pattern = re.compile(rf"(?<![a-z])(?:{'|'.join(OTHER_WORDS)})(?![a-z])", re.IGNORECASE)
    folders = ("gnexp", "hydra_plugins", "scripts", "benchmarks", "conf", "docs", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*.md"))
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.suffix in (".py", ".md", ".yaml", ".j2")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)
    assert pattern.search("list_{}viations".format("de")) and pattern.search("two {}ces".format("pie"))


def _names_no_encoding(call: ast.Call) -> bool:
    """Whether a call opens text and leaves its encoding to the locale."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg for keyword in call.keywords}
    if "encoding" in given or None in given:
        return False
    if name in (
        "read_text",
        "write_text",
    ):  # gnexp.system.files.write_text takes the path first, and writes UTF-8
        return len(call.args) == ("write" in name)
    if isinstance(call.func, ast.Name) and name == "open":
        mode = call.args[1] if len(call.args) > 1 else None
        return not (isinstance(mode, ast.Constant) and "b" in str(mode.value))
    return False


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a file imports, also within its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_house_has_few_rooms_and_few_arrows_between_them():
    """That arrows point down is import-linter's; how many there are is told here."""
    package = ROOT / "gnexp"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    arrows = {
        (room, parts[1])
        for room in rooms
        for path in (package / room).rglob("*.py")
        for module in _imported(ast.parse(path.read_text(encoding="utf-8")))
        if (parts := module.split("."))[0] == "gnexp" and parts[1] in rooms - {room}
    }
    assert ("cli", "compose") in arrows and ("report", "ops") not in arrows
    assert len(rooms) <= MAX_ROOMS and len(arrows) <= MAX_ARROWS, (len(rooms), len(arrows), sorted(arrows))


def test_every_text_file_is_opened_with_its_encoding():
    # ruff's PLW1514 sees this where it can tell that something is a path.
    found = []
    for path in project_files():
        if path.suffix == ".py":
            tree = ast.parse((ROOT / path).read_bytes())
            calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
            found += [f"{path}:{call.lineno}" for call in calls if _names_no_encoding(call)]
    assert not found


def test_the_tree_can_be_carried():
    sizes = {path: (ROOT / path).stat().st_size for path in project_files()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:5]
    assert sum(sizes.values()) < MAX_MIB << 20, f"the largest: {[(str(p), sizes[p]) for p in largest]}"


def test_no_registry_is_named():
    found = []
    for path in project_files():
        content = (ROOT / path).read_bytes()
        found += [(str(path), host) for host in REGISTRY_HOSTS if host.encode() in content]
    assert not found


@pytest.mark.parametrize("module", PARENT)
def test_parent_process_does_not_import_torch(module):
    assert not modules_loaded_by(module) & {"torch", "torchvision"}


def test_cli_imports_hydra_only_when_a_verb_needs_it():
    assert not modules_loaded_by("gnexp.cli.main") & {"hydra", "omegaconf", "matplotlib", "numpy"}


def test_conf_is_found():
    assert conf_dir() == ROOT / "conf"


def test_version_is_that_of_the_citation():
    assert f"\nversion: {gnexp.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_readme_is_read_at_one_go():
    """It shows, and says where the rest stands; the map of folders is docs/design.md's."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_README
    assert "gnexp.convert(" in "".join(lines) and "results/figures/figure1.png" in "".join(lines)


def test_the_map_of_folders_is_the_tree():
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    block = re.search(r"## What is where\n\n```\n(.*?)```", page, re.DOTALL)
    assert block is not None
    listed: set[str] = set()
    folder = ""
    for line in block[1].splitlines():
        name, caption = line.split(maxsplit=1)
        assert caption, line
        if not line.startswith(" "):
            folder = name
        listed.add(folder + name if line.startswith(" ") else name)
    entries = set()
    for path in project_files():
        top = path.parts[0]
        if top.startswith(".") or top == "README.md":
            continue
        entries.add(f"{top}/" if len(path.parts) > 1 else top)
        if top == "gnexp" and path.name != "__init__.py":
            entries.add(f"gnexp/{path.parts[1]}" + ("/" if len(path.parts) > 2 else ""))
    assert listed == entries


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8"))
    broken = [t for t in targets if "://" not in t and not (ROOT / page).parent.joinpath(t).exists()]
    assert not broken


@pytest.mark.parametrize("page", ["docs/adding.md", "docs/design.md"])
def test_modules_that_a_page_names_are_there(page):
    """By their path below the repository or below gnexp/; the code that adding.md shows is new."""
    text = re.sub(
        r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    named = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text)
    assert [name for name in named if name.endswith(".py")]
    modules = [name for name in named if name.endswith(".py") or name.startswith("gnexp/")]
    assert not [
        name for name in modules if not any((root / name).exists() for root in (ROOT, ROOT / "gnexp"))
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder / "site")
    return folder / "site"


def test_wheel_holds_the_package_conf_data_and_plugin(wheel):
    held = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    wanted = {
        f"gnexp/conf/{path.relative_to(ROOT / 'conf').as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")
    }
    wanted |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "gnexp").rglob("*.py")}
    wanted |= {
        "gnexp/py.typed",
        "gnexp/data/generated/fashion_mnist.npz",
        "gnexp/data/generated/fashion_mnist.LICENSE.md",
    }
    wanted |= {"hydra_plugins/gnexp_sweeper/__init__.py", "gnexp/report/render/templates/report.html.jinja"}
    assert wanted <= held
    # A namespace package: a file here would hide other projects' plugins.
    assert "hydra_plugins/__init__.py" not in held
    assert {path.split("/")[0] for path in held} == {
        "gnexp",
        "hydra_plugins",
        f"gnexp-{gnexp.__version__}.dist-info",
    }


def test_wheel_finds_its_own_conf(wheel):
    code = "from gnexp.config.keys import conf_dir; print(conf_dir())"
    done = subprocess.run([sys.executable, "-c", code], cwd=wheel, capture_output=True, text=True)
    assert done.stdout.strip() == str(wheel / "gnexp" / "conf"), done.stderr


def test_every_measured_row_of_the_readme_is_one_that_the_program_wrote():
    """Cell by cell: a table with fewer rows has narrower columns."""

    def rows_of(path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("|")]

    rows = [row for row in rows_of(ROOT / "README.md") if any("±" in cell for cell in row)]
    assert rows
    written = [row for path in (ROOT / "results" / "tables").glob("*.md") for row in rows_of(path)]
    assert not [row for row in rows if row not in written]


@pytest.mark.slow
def test_what_is_shared_stays_on_one_core():
    """Of files that are quick, some in a folder that stays together: which process of pytest ran which."""
    files = [
        "tests/faults/test_table.py",
        "tests/faults/test_sweeps.py",
        "tests/nn/test_sampler.py",
        "tests/ops/test_keyed.py",
    ]
    words = [
        "-m",
        "pytest",
        "-v",
        "-n2",
        "--no-loadscope-reorder",
        "-p",
        "no:cacheprovider",
        "-k",
        "not 18 and not both",
        *files,
    ]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    found: dict[str, set[str]] = {}
    for process, folder, name in re.findall(r"^\[(gw\d)\] .* tests/(\w+)/(\w+)", done.stdout, re.MULTILINE):
        found.setdefault(folder if folder == "faults" else name, set()).add(process)
    assert len(found) == 3 and all(len(processes) == 1 for processes in found.values()), done.stdout
    assert set.union(*found.values()) == {"gw0", "gw1"}
