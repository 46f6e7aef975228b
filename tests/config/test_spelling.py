"""Text on a command line: read as it stands by every verb, and printed so that it can be typed again."""

import random
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from gnexp.cli import main as cli
from gnexp.cli.settings import settings_of
from gnexp.compose import composer as compose
from gnexp.compose import overrides
from gnexp.config.keys import text_keys
from gnexp.config.spelling import quoting, read_texts, spell

NUMBERLIKE = ["2024_1", "20241", "1e5", "true", "False", "007", "1.0", "nan", "-inf", ".5", "null", "1_e5"]
HARD = [
    *(
        "/data/image net",
        "it's, so",
        "a=b",
        "/größe/фото/写真",
        "a\\b",
        "a\\",
        'say "no"',
        "\\'\"",
        "$HOME",
        "${x}",
    ),
    *(
        "\\${x}",
        "[1,2]",
        "{a: b}",
        "choice(a,b)",
        "run(1)",
        " a ",
        "tab\there",
        "line\nbreak",
        "#1",
        "a;b|c&d",
        "*?",
    ),
]


@pytest.fixture(scope="module")
def composer():
    return compose.Composer()


def as_hydra_reads(word: str) -> object:
    """What a config holds once Hydra and OmegaConf have read an override."""
    value = OverridesParser.create().parse_override(word).value()
    return OmegaConf.create({"value": value}).value


@pytest.mark.parametrize("value", [None, True, 2, 1e-5, [1, 2.5, "a"], *NUMBERLIKE, *HARD])
def test_what_is_spelled_is_read_back_as_the_same_value(value):
    assert as_hydra_reads(f"key={spell(value)}") == value
    if isinstance(value, str):
        assert read_texts(spell(value)) == [value]
        (word,) = shlex.split(quoting("key", value))
        assert as_hydra_reads(word) == value


def test_names_of_any_characters_are_spelled_as_hydra_reads_them():
    letters = random.Random(0)
    for _ in range(2000):
        text = "".join(letters.choices("ab1_e.,='\"\\ ${}[]()~\né", k=letters.randint(1, 6)))
        assert read_texts(spell(text)) == [text], repr(text)
        assert as_hydra_reads(f"key={spell(text)}") == text, repr(text)


def test_quotes_are_hydras():
    letters = random.Random(0)
    num_read = 0
    for _ in range(1000):
        raw = "'" + "".join(letters.choices("a,'\\ \"", k=letters.randint(0, 6))) + "'"
        try:
            expected = overrides.values_of(OverridesParser.create().parse_override(f"key={raw}"))
        except Exception:
            continue
        num_read += 1
        assert read_texts(raw) == expected, raw
    assert num_read > 100


@pytest.mark.parametrize(
    ("raw", "texts"),
    [
        *((text, [text]) for text in NUMBERLIKE if text != "null"),
        ("null", [None]),
        ("2024_1,20241", ["2024_1", "20241"]),
        ("/a b , 'c,d' ", ["/a b", "c,d"]),
        ("/a\\,b", ["/a,b"]),
        ("/bücher=neu(1)", ["/bücher=neu(1)"]),
        ("choice(a,b)", None),
        ("[a]", None),
        ("${oc.env:HOME}/a", None),
    ],
)
def test_what_has_no_quotes_is_text_as_it_stands(raw, texts):
    assert read_texts(raw) == texts


def test_every_key_of_text_holds_the_text_that_was_typed(composer):
    """Whatever Hydra would make of it: the schema's fields of text, one after the other."""
    for key in sorted(text_keys() - {"norm", "model", "data", "recipe", "scale", "experiment"}):
        for text in ("2024_1", "1e5", "true"):
            config = composer.load(overrides.respell([f"{key}={text}"]))
            assert OmegaConf.select(config, key) == text, key


def test_two_names_are_two_runs(composer):
    ids = {composer.run(composer.flatten([f"data.name={name}"])).run_id for name in ("2024_1", "20241")}
    assert len(ids) == 2
    expansion = composer.expand("null", "demo", ["data.name=2024_1,20241"])
    assert {cell.runs[0].run_id for cell in expansion.cells} == ids
    assert [cell.runs[0].data.name for cell in expansion.cells] == ["2024_1", "20241"]


def test_a_file_whose_name_is_a_number_is_a_choice(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("2024_1", "20241"):
        (tmp_path / "data" / f"{name}.yaml").write_text(
            f"defaults: [fashion_scenes, _self_]\nname: '{name}'\n", encoding="utf-8"
        )
    own = compose.Composer([str(tmp_path)])
    overrides.check(["data=2024_1"], own.options, sweep=False)
    assert own.run(own.flatten(["data=2024_1"])).data.name == "2024_1"
    found = own.expand("null", "small", ["data=2024_1,20241"])
    assert [cell.runs[0].data.name for cell in found.cells] == ["2024_1", "20241"]


@pytest.mark.parametrize("name", [*NUMBERLIKE, *HARD])
def test_a_printed_command_makes_the_same_run(composer, name):
    typed = ["norm=bn", "data=cifar10", f"data.root={spell(name)}", f"runs_dir={spell(name)}"]
    (cell,) = composer.expand("null", "small", typed).cells
    printed = cell.command(0, f"runs_dir={spell(name)}")
    words = shlex.split(printed)[2:]
    overrides.check(words, composer.options, sweep=False)
    arguments = composer.flatten(words)
    assert (composer.run(arguments), composer.run(arguments).data.root) == (cell.runs[0], name)
    assert str(overrides.runs_dir_of(arguments)) == name
    assert OmegaConf.to_container(composer.load(arguments), resolve=True)["runs_dir"] == name


@pytest.mark.parametrize("name", [*NUMBERLIKE, *HARD])
def test_the_other_verbs_read_what_train_reads(name):
    (word,) = shlex.split(quoting("runs_dir", name))
    found = settings_of("export", [word, f"run={spell(name)}"])
    assert (found["run"], found["runs_dir"], found["output"]) == (name, name, "")
    assert settings_of("doctor", ["runs_dir='/x'"])["runs_dir"] == "/x"  # as an older gnexp has printed it


def test_a_home_is_found_behind_an_equals_sign(composer, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert overrides.respell(["runs_dir=~/runs", "data.root='~'", "init=~/a.pt", "data.name=~"]) == [
        *("runs_dir=/home/me/runs", "data.root=/home/me", "init=/home/me/a.pt", 'data.name="~"')
    ]
    assert settings_of("export", ["run=a", "output=~/a.pt"])["output"] == "/home/me/a.pt"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("train|runs_dir=/a,b", "'runs_dir=\"/a,b\"'"),
        ("train|data.root=/a,b", "'data.root=\"/a,b\"'"),
        ("sweep|runs_dir=/a,b", "'runs_dir=\"/a,b\"'"),
        ("plan|results_dir=/a,b", "'results_dir=\"/a,b\"'"),
        ("report|runs_dir=/a,b", "'runs_dir=\"/a,b\"'"),
        ("eval|run=/a,b", "'run=\"/a,b\"'"),
        ("export|run=a|output=[b]", "'output=\"[b]\"'"),
        ("doctor|runs_dir=/a,b", "'runs_dir=\"/a,b\"'"),
        ("data|check|data.root=/a,b", "'data.root=\"/a,b\"'"),
        ("train|runs_dir='a", "the quote ' is not closed"),
        ("report|runs_dir='a'b", "b stands behind the closing quote"),
        ("train|data.name=choice(2024_1,a)", "quote each element of it"),
        ("train|runs_dir=run(1)", "'runs_dir=\"run(1)\"'"),
        ("train|runs_dir=", "expected runs_dir=VALUE"),
        ("train|runs_dir=caf\udce9", "runs_dir must be text in UTF-8, got caf\\udce9; rename the folder"),
        ("sweep|runs_dir='caf\udce9'", "runs_dir must be text in UTF-8"),
        ("report|runs\ndir=a", "unknown key runs\\ndir"),
        ("report|results_dir=caf\udce9", "results_dir must be text in UTF-8"),
        ("sweep|norm=glob(*)", "list what is meant, such as norm=bn,brn,evonorm_s0,frn,frozen_bn,gn,"),
        ("sweep|norm.eps=glob(*)", "list what is meant, such as norm.eps=A,B"),
    ],
)
def test_what_is_no_single_text_is_one_line_with_the_way_out(tmp_path, monkeypatch, capfd, words, hint):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split("|")) == 2
    shown = capfd.readouterr()
    assert hint in shown.err
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
