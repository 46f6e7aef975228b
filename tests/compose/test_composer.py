"""From overrides to runs: whose choice wins, what a grid expands to, what is refused."""

import dataclasses
import sys

import pytest

from gnexp.compose import composer as compose
from gnexp.compose import conf_files, overrides
from gnexp.compose.exhibits import load_exhibits
from gnexp.compose.foreign import dropped_notes
from gnexp.config.keys import DEFAULT_EXPERIMENT, DEFAULT_SCALE, check_key, group_options, known_keys

EXPERIMENT = """
name: probe
question: Is it so?
overrides: [batch=16, recipe.epochs=3, data=fashion_embedded]
grid:
  norm: [bn, gn]
  norm.eps: [1.0e-5, 1.0e-3]
scales:
  small:
    overrides: [recipe.epochs=5]
    seeds: [0, 1]
    extra_seeds:
      - where: {norm: [bn]}
        seeds: [1, 7]
  smoke:
    grid: {norm.eps: [1.0e-2]}
"""


# No product: batch norm at one eps, at small scale no group norm with two images.
UNEVEN = """
name: uneven
question: Is it so?
grid:
  norm: [bn, gn]
  norm.eps: [1.0e-5, 1.0e-3]
  batch: [4, 2]
left_out:
  - {norm: bn, norm.eps: 1.0e-3}
scales:
  small:
    left_out:
      - {norm: gn, batch: 2}
    extra_seeds:
      - where: {batch: [2]}
        seeds: [1]
  smoke:
    grid: {norm.eps: [1.0e-3], batch: [4]}
"""


@pytest.fixture(scope="module")
def composer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conf")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "probe.yaml").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "experiment" / "uneven.yaml").write_text(UNEVEN, encoding="utf-8")
    return compose.Composer([str(folder)])


@pytest.fixture(scope="module")
def plain():
    return compose.Composer()


def test_defaults_are_those_that_the_code_names(plain):
    run = plain.run([])
    assert run.scale == DEFAULT_SCALE
    assert run.norm.label == f"gn{run.model.default_num_groups}"
    assert DEFAULT_EXPERIMENT in group_options("experiment")


def test_a_scale_chooses_files_and_the_user_wins(plain):
    paper = plain.run(["scale=paper"])
    assert (paper.model.name, paper.data.name, paper.recipe.name) == ("resnet50", "imagenet", "imagenet")
    assert paper.norm.num_groups == 32
    assert plain.run(["model=thin_resnet", "scale=paper"]).model.name == "thin_resnet"
    assert plain.run(["scale=paper", "recipe.epochs=7"]).recipe.epochs == 7


def test_layers_scale_block_over_experiment_and_user_over_both(composer):
    def run(*overrides):
        return composer.run(composer.flatten(["experiment=probe", "scale=small", *overrides]))

    assert run().recipe.epochs == 5
    assert run("scale=smoke").recipe.epochs == 3
    assert run("recipe.epochs=9").recipe.epochs == 9
    assert run("batch=2").batch == 2
    assert run().batch == 16
    assert run().data.name == "fashion_embedded"
    assert run("data=fashion_scenes").data.name == "fashion_scenes"


def test_grid_is_a_product_outermost_first(composer):
    expansion = composer.expand("probe", "small")
    assert [tuple(cell.coordinates.values()) for cell in expansion.cells] == [
        ("bn", 1e-5),
        ("bn", 1e-3),
        ("gn", 1e-5),
        ("gn", 1e-3),
    ]
    assert expansion.axes == {"norm": ("bn", "gn"), "norm.eps": (1e-5, 1e-3)}
    assert [run.seed for run in expansion.cells[0].runs] == [0, 1, 7]  # seed 1 once
    assert [run.seed for run in expansion.cells[2].runs] == [0, 1]
    assert expansion.cells[1].runs[0].norm.eps == 1e-3
    assert expansion.cells[1].runs[0].norm.kind == "bn"


def test_seed_major_gives_a_full_table_first(composer):
    expansion = composer.expand("probe", "small")
    assert [run.seed for _, run in expansion.seed_major] == [0, 0, 0, 0, 1, 1, 1, 1, 7, 7]


def test_of_one_seed_the_longest_runs_come_first(composer):
    runs = [run for _, run in composer.expand("batch_size", "demo").seed_major]
    assert [(run.seed, run.batch) for run in runs[:12]] == [
        *((0, batch) for batch in (2, 2, 4, 4, 8, 8, 16, 16, 32, 32)),
        *((1, batch) for batch in (2, 2)),
    ]


def test_a_scales_grid_replaces_the_axes_it_names(composer):
    assert composer.expand("probe", "smoke").axes == {"norm": ("bn", "gn"), "norm.eps": (1e-2,)}


def test_cells_are_left_out_of_a_grid(composer):
    def points(scale, *overrides):
        return [tuple(c.coordinates.values()) for c in composer.expand("uneven", scale, overrides).cells]

    assert points("small") == [("bn", 1e-5, 4), ("bn", 1e-5, 2), ("gn", 1e-5, 4), ("gn", 1e-3, 4)]
    assert points("smoke") == [("gn", 1e-3, 4)]
    assert points("small", "norm=gn", "norm.eps=1", "batch=2,8") == [("gn", 1, 8)]
    expansion = composer.expand("uneven", "small")
    assert expansion.axes == {"norm": ("bn", "gn"), "norm.eps": (1e-5, 1e-3), "batch": (4, 2)}
    assert [[run.seed for run in cell.runs] for cell in expansion.cells] == [[0], [0, 1], [0], [0]]
    with pytest.raises(ValueError, match=r"every cell of the grid norm, norm.eps, batch is left out"):
        composer.expand("uneven", "small", ["norm=gn", "batch=2"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("left_out: [{workers: 2}]", "left_out names workers, which is no axis of the grid norm"),
        ("left_out: [{}]", "left_out has an entry without an axis"),
        (
            "scales: {small: {extra_seeds: [{where: {batch: [2]}}]}}",
            "extra_seeds names batch, which is no axis",
        ),
    ],
)
def test_what_is_left_out_names_axes_of_the_grid(tmp_path, content, message):
    scales = "" if content.startswith("scales") else "scales: {small: {}}"
    text = f"name: wrong\ngrid: {{norm: [bn, gn]}}\n{content}\n{scales}\n"
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        compose.Composer([str(tmp_path)]).expand("wrong", "small")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "axes"),
    [
        (["norm=in"], {"norm": ("in",), "norm.eps": (1e-5, 1e-3)}),
        (["norm=in,gn"], {"norm": ("in", "gn"), "norm.eps": (1e-5, 1e-3)}),
        (["norm=gn", "norm.eps=1"], {"norm": ("gn",), "norm.eps": (1,)}),
        (["norm=gn", "batch=2,4"], {"norm": ("gn",), "norm.eps": (1e-5, 1e-3), "batch": (2, 4)}),
        (["norm=gn", "norm.eps=1", "batch=range(2,4)"], {"norm": ("gn",), "norm.eps": (1,), "batch": (2, 3)}),
    ],
)
def test_a_users_values_replace_an_axis_or_add_one(composer, overrides, axes):
    expansion = composer.expand("probe", "small", overrides)
    assert expansion.axes == axes
    assert len(expansion.cells) == len({cell.runs[0].run_id for cell in expansion.cells})


def test_seeds(composer):
    def seeds(*overrides, **kwargs):
        return [
            [run.seed for run in c.runs] for c in composer.expand("probe", "small", overrides, **kwargs).cells
        ]

    assert seeds(seeds=3) == [[0, 1, 2]] * 4
    assert seeds("seed=5") == [[5]] * 4
    assert seeds("seed=5,6") == [[5, 6]] * 4
    with pytest.raises(ValueError, match="seed or seeds, not both"):
        seeds("seed=5", seeds=2)
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        seeds(seeds=0)


def test_runs_of_a_cell_differ_in_the_seed_alone(composer):
    first, second, *_ = composer.expand("probe", "small").cells[0].runs
    assert dataclasses.replace(second, seed=first.seed) == first
    assert second.run_id != first.run_id


def test_no_experiment_is_a_grid_of_the_users(plain):
    expansion = plain.expand("null", "smoke", ["norm=gn", "norm.num_groups=1,null,4"])
    assert [cell.coordinates["norm.num_groups"] for cell in expansion.cells] == [1, "null", 4]
    assert [cell.runs[0].norm.num_groups for cell in expansion.cells] == [1, 8, 4]
    assert len(plain.expand("null", "small").seed_major) == 1


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["batch=2"],
        ["data=fashion_scenes", "data.shift=3"],
        ["recipe.epochs=2,3"],
        ["model.widths=[8,16,32,64]"],
    ],
)
def test_a_cells_command_is_faithful_whatever_the_user_chose(composer, overrides):
    for cell in composer.expand("probe", "small", overrides).cells:
        again = composer.run(composer.flatten([*cell.overrides, f"seed={cell.runs[0].seed}"]))
        assert again.run_id == cell.runs[0].run_id


def test_a_cells_command_is_short(plain):
    """Short, and yet it names its scale: the default may change, what a printed command makes may not."""
    assert plain.expand("batch_size", "demo").cells[0].overrides == ("scale=demo", "norm=bn", "batch=32")
    assert plain.expand("batch_size", "smoke").cells[0].overrides == ("scale=smoke", "norm=bn", "batch=4")
    assert plain.expand("norms", "demo").cells[0].overrides == (
        *("experiment=norms", "scale=demo", "norm=bn"),
    )


def counted(monkeypatch, place, name):
    """The calls of a method from now on."""
    calls, real = [], getattr(place, name)

    def noted(*arguments, **keywords):
        calls.append(arguments)
        return real(*arguments, **keywords)

    monkeypatch.setattr(place, name, noted)
    return calls


def test_a_grids_cells_share_the_reading_of_files(monkeypatch):
    """Choosing files is what takes time in Hydra: it reads a scale once, and then each choice once."""
    conf_files._own_files.cache_clear()  # other tests have read gnexp's own
    composer = compose.Composer()
    loader, parts = composer._files._loader, composer._files._parts
    wholes = counted(monkeypatch, loader, "load_configuration")
    composed = counted(monkeypatch, parts, "_compose")
    grid = ["norm=gn,bn", "batch=1,2,4,8,16", "workers=1,2,4,8,16"]
    assert len(composer.expand("null", "small", grid).cells) == 50
    assert len(wholes) == 1
    assert len(composed) == 5  # two norms, model, data and recipe
    compose.Composer().expand("null", "small", grid)
    assert len(wholes) == 1 and len(composed) == 5  # nor is anything read again in this process


def test_an_experiment_that_lacks_the_scale_says_which_it_has(composer):
    with pytest.raises(
        ValueError, match="experiment probe has no block for scale=paper, only for small, smoke"
    ):
        composer.expand("probe", "paper")


def test_a_cell_that_cannot_be_is_named(plain):
    with pytest.raises(ValueError, match=r"norm=in norm.num_groups=2: .*not both: got 2 and 1"):
        plain.expand("null", "small", ["norm=in,gn", "norm.num_groups=2,3"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batc=2", "unknown key batc; did you mean batch?"),
        ("norm.num_group=3", "unknown key norm.num_group; did you mean norm.num_groups?"),
        ("num_groups=3", "unknown key num_groups; did you mean norm.num_groups?"),
        ("learning_rate=3", "unknown key learning_rate; see `gnexp train --cfg job`"),
        (
            "norm=gnn",
            (
                "unknown norm 'gnn': choose from bn, brn, evonorm_s0, frn, frozen_bn, gn, gn_ws, grms, in, ln, ln2d, "
                "none, sync_bn; did you mean gn?"
            ),
        ),
        ("norm=null", "unknown norm None"),
        ("experiment=batchsize", "unknown experiment 'batchsize': .*; did you mean batch_size?"),
        ("scale=tiny", "unknown scale 'tiny': choose from demo, paper, small, smoke"),
        ("hydra/launcher=jobli", "unknown hydra/launcher 'jobli': .*did you mean joblib?"),
        ("+foo=1", "cannot be added or removed"),
        ("+hydra.job.name=x", "cannot be added or removed"),
        ("~norm=gn", "cannot be added or removed"),
        ("norm@model=gn", "a group goes where its file says; write norm=value"),
        ("batch", "expected key=value, got 'batch'"),
        ("batch=[1", "cannot read 'batch=\\[1'"),
        ("batch=2,4", "several values; `gnexp sweep`"),
        ("dry_run=true", "dry_run is for `gnexp sweep`"),
    ],
)
def test_mistakes_in_keys_and_choices_get_one_line(plain, override, message):
    with pytest.raises(ValueError, match=message.replace("?", "[?]")) as caught:
        overrides.check([override], plain.options, sweep=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("norm=gn,bm", "unknown norm 'bm'"),
        ("experiment=norms,batch_size", "a sweep has one experiment"),
        ("runs_dir=a,b", "a sweep has one runs_dir"),
        ("recipe.base_lr=interval(0,1)", "a sweep needs listed values"),
    ],
)
def test_mistakes_in_a_sweep(plain, override, message):
    with pytest.raises(ValueError, match=message):
        overrides.check([override], plain.options, sweep=True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batch=two", "batch: Value 'two' of type 'str' could not be converted to Integer"),
        ("batch=2.5", "batch: Value '2.5'"),
        ("data.mean=[a]", r"data.mean\[0\]: Value 'a'"),
        ("recipe.nesterov=maybe", "recipe.nesterov: Value 'maybe'"),
        ("batch=0", "batch must be at least 1 image per worker, got 0"),
        ("norm={kind: bn}", "norm.momentum is missing: kind bn needs it"),
    ],
)
def test_mistakes_in_values_get_one_line(plain, override, message):
    with pytest.raises(ValueError, match=message) as caught:
        plain.run([override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [("batch=two", "batch: Value 'two' of type 'str'"), ("data.mean=[a]", r"data.mean\[0\]: Value 'a'")],
)
def test_in_a_debugger_they_are_the_same(plain, override, message):
    """There OmegaConf keeps what its errors come from, and one of them is its own cause."""
    before = sys.gettrace()
    sys.settrace(lambda *event: None)
    try:
        with pytest.raises(ValueError, match=message):
            plain.run([override])
    finally:
        sys.settrace(before)


def test_hardware_that_some_kinds_do_not_have_is_left_out_of_their_cells_with_one_note():
    """norm.impl=composed was refused in a sweep that holds bn."""
    found = compose.expand("norms", "small", ["norm.impl=composed", "seed=0"])
    plain = compose.expand("norms", "small", ["seed=0"])
    ids = [[run.run_id for cell in expansion.cells for run in cell.runs] for expansion in (found, plain)]
    assert ids[0] == ids[1]
    impls = {run.norm.kind: getattr(run.norm, "impl", None) for cell in found.cells for run in cell.runs}
    assert impls["gn"] == "composed" and impls["bn"] is None
    assert dropped_notes([found]) == [
        "norm.impl=composed is left out of the cells of kind bn, which has no such field"
    ]
    assert dropped_notes([plain]) == []
    nowhere = compose.expand("norms", "small", ["norm=bn", "norm.impl=composed"])
    with pytest.raises(
        ValueError, match=r"^norm.impl=composed: no cell has a norm with impl, they are of kind bn"
    ):
        dropped_notes([nowhere])


def test_a_missing_config_directory_is_named():
    with pytest.raises(ValueError, match="there is no config directory /nowhere"):
        compose.Composer(["/nowhere"])


def test_every_known_key_is_accepted():
    for key in known_keys():
        check_key(key)


def test_exhibits_by_name():
    assert [e["id"] for e in load_exhibits(["table2", "figure1"])] == ["table2", "figure1"]
    with pytest.raises(ValueError, match="unknown exhibit 'tabel2': .*did you mean table2"):
        load_exhibits(["tabel2"])


@pytest.mark.parametrize(
    ("words", "run"),
    [
        (["norm=gn", "norm.channels_per_group=4"], ["norm=gn", "norm.channels_per_group=4"]),
        (["norm=gn", "model.default_num_groups=4"], ["norm=gn", "model.default_num_groups=4"]),
        (["norm=bn", "norm.momentum=0.2"], ["norm=bn", "norm.momentum=0.2"]),
        (["norm=frozen_bn", "norm.eps=0.001"], ["norm=bn", "norm.eps=0.001"]),
        (
            ["norm=frozen_bn", "model.arch=resnet18", "model=timm"],
            ["norm=bn", "model.arch=resnet18", "model=timm"],
        ),
    ],
)
def test_a_run_starts_from_one_of_its_own_norm(plain, words, run):
    parent = plain.parent([*words, "init=cell", "device=cpu", "threads=1"])
    assert parent is not None
    assert parent.run.run_id == plain.run(plain.flatten(run)).run_id
    assert sorted(parent.command().split()) == sorted(
        ["gnexp", "train", "scale=demo", *run, "device=cpu", "threads=1"]
    )


@pytest.mark.parametrize("names", [("imagenet", "fashion_scenes"), ("fashion_scenes", "imagenet")])
def test_of_a_group_chosen_twice_the_last_wins(names):
    assert compose.Composer().run([f"data={name}" for name in names]).data.name == names[-1]
