"""Sizes that are told without making images are those of the data sets themselves."""

import dataclasses

import pytest
import torch

from gnexp.compose.composer import Composer
from gnexp.data.build import build_dataset
from gnexp.data.sizes import num_train_images

COMPOSER = Composer()


@pytest.mark.parametrize("val_source", ["test", "train"])
def test_the_embedded_garments(val_source):
    config = COMPOSER.run(["data=fashion_embedded", f"data.val_source={val_source}"]).data
    assert num_train_images(config) == 15_000
    config = dataclasses.replace(config, num_train=None)
    assert num_train_images(config) == build_dataset(config, torch.device("cpu")).num_train


def test_imagenet_needs_no_folder_and_a_folder_that_is_here_is_counted(tmp_path):
    config = COMPOSER.run(["data=imagenet"]).data
    assert num_train_images(config) == 1_281_167
    for split, num in (("train", 3), ("val", 1)):
        (tmp_path / split / "a").mkdir(parents=True)
        for index in range(num):
            (tmp_path / split / "a" / f"{index}.jpg").write_bytes(b"x")
    assert num_train_images(COMPOSER.run(["data=kinetics"]).data) == 234_643
    assert num_train_images(COMPOSER.run(["data=fashion_clips"]).data) == 2000
    here = dataclasses.replace(config, root=str(tmp_path), num_classes=1)
    assert num_train_images(here) == 3
    assert num_train_images(dataclasses.replace(config, expected_train=None)) is None
