"""The categories of a COCO set: the same in train and in val, and what they are called."""

from __future__ import annotations

from gnexp.data.coco.files import CocoFiles


def differing_categories(train: CocoFiles, val: CocoFiles) -> str | None:
    """The first category that the splits do not share by id and name, in words; None where there is none.

    A name that one of the files lacks is no difference.
    """
    first, second = (
        dict(zip(files.category_ids, files.category_names, strict=True)) for files in (train, val)
    )
    for category in sorted(first.keys() | second.keys()):
        if category not in second or category not in first:
            path = (train if category in first else val).annotations
            return f"category {category} is in {path.name} alone"
        names = first[category], second[category]
        if None not in names and names[0] != names[1]:
            first_file, second_file = train.annotations.name, val.annotations.name
            return f"category {category} is {names[0]!r} in {first_file} and {names[1]!r} in {second_file}"
    return None


def class_names(train: CocoFiles, val: CocoFiles) -> tuple[str, ...]:
    """What labels 1, 2, ... are called; a category that has no name in either file is called after its id."""
    return tuple(
        ours or theirs or f"class {category}"
        for category, ours, theirs in zip(
            train.category_ids, train.category_names, val.category_names, strict=True
        )
    )
