"""The embedded data sets: splits, batches, settings."""

import dataclasses

import numpy as np
import pytest
import torch

from gnexp.config import data_config
from gnexp.data.generated.fashion import open_fashion
from gnexp.data.generated.fashion_mnist import load_fashion_mnist
from gnexp.data.in_memory import InMemoryDataset
from gnexp.data.loader import num_steps, train_batches, val_batches

CPU = torch.device("cpu")
PLAIN = data_config(name="fashion", kind="fashion", image_size=28, num_train=600, num_val=300, shift=2)


@pytest.fixture(scope="module")
def plain() -> InMemoryDataset:
    return open_fashion(PLAIN, CPU)


def test_batches_are_normalized_images_with_their_labels(plain: InMemoryDataset) -> None:
    garments = load_fashion_mnist()
    (batch,) = plain.val_batches([np.arange(5)])
    expected = (torch.from_numpy(garments.test_images[:5]).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(batch.images, expected.unsqueeze(1), rtol=0, atol=1e-6)
    assert batch.labels.tolist() == garments.test_labels[:5].tolist() and batch.labels.dtype == torch.int64


def test_an_image_is_augmented_by_its_key_alone(plain: InMemoryDataset) -> None:
    alone = next(plain.train_batches(0, 3, [np.array([17])])).images[0]
    among = next(plain.train_batches(0, 3, [np.arange(300), np.arange(300, 600)])).images[17]
    assert torch.equal(alone, among)
    assert not torch.equal(alone, next(plain.train_batches(0, 4, [np.array([17])])).images[0])
    assert not torch.equal(alone, next(plain.train_batches(1, 3, [np.array([17])])).images[0])


def test_training_drops_the_last_incomplete_batch_and_evaluation_nothing(plain: InMemoryDataset) -> None:
    assert num_steps(plain, 256) == 2
    assert [len(b.labels) for b in train_batches(plain, seed=0, epoch=0, total_batch=256)] == [256, 256]
    assert [len(b.labels) for b in val_batches(plain, size=128)] == [128, 128, 44]
    labels = torch.cat([b.labels for b in val_batches(plain, size=128)])
    assert labels.tolist() == load_fashion_mnist().test_labels[:300].tolist()


def test_every_epoch_has_its_own_order_and_every_image_at_most_once(plain: InMemoryDataset) -> None:
    seen: list[np.ndarray] = []

    for epoch in (0, 1):
        batches = train_batches(plain, seed=0, epoch=epoch, total_batch=256)
        seen.append(np.concatenate([batch.indices for batch in batches]))
    assert all(len(set(order)) == 512 for order in seen)
    assert (seen[0] != seen[1]).any() and set(seen[0]) != set(seen[1])


def test_held_out_garments_are_training_garments_never_trained_on() -> None:
    config = data_config(name="search", kind="fashion", image_size=28, val_source="train")
    dataset = open_fashion(config, CPU)
    assert (dataset.num_train, dataset.num_val) == (15_000, 5_000)
    garments = load_fashion_mnist()
    (held_out,) = dataset.val_batches([np.arange(3)])
    expected = (torch.from_numpy(garments.train_images[15_000:15_003]).float() / 255 - 0.5) / 0.25
    torch.testing.assert_close(held_out.images, expected.unsqueeze(1), rtol=0, atol=1e-6)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="data.num_train must be between 1 and 20000, .*, got 20001"):
        open_fashion(dataclasses.replace(PLAIN, num_train=20_001), CPU)
    with pytest.raises(ValueError, match="its config expects 00ff; .*data.sha256=null"):
        open_fashion(dataclasses.replace(PLAIN, sha256="00ff"), CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 64}, "data.image_size must be 28 for kind fashion, got 64"),
        ({"exposure": 0.7}, "data.exposure is not for kind fashion, got 0.7"),
        ({"jitter": 0.4}, "data.jitter is not for kind fashion, got 0.4"),
        ({"num_classes": 5}, "data.num_classes must be 10 for kind fashion, got 5"),
        (
            {"channels": 3, "mean": (0.5,) * 3, "std": (0.5,) * 3},
            "data.channels must be 1 for kind fashion, got 3",
        ),
    ],
)
def test_settings_that_would_be_ignored_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_fashion(data_config(**{**dataclasses.asdict(PLAIN), **change}), CPU)


def test_no_global_random_state_is_used(plain: InMemoryDataset) -> None:
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    for _ in train_batches(plain, seed=0, epoch=0, total_batch=100):
        pass
    assert torch.equal(before_torch, torch.get_rng_state())
    assert (before_numpy == np.random.get_state()[1]).all()  # type: ignore[index]
