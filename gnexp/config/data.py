"""The schema of conf/data."""

from __future__ import annotations

from dataclasses import dataclass

from gnexp.config.fields import hardware_field, require, require_at_least, require_name, science_field


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A data set: where its images come from and how training images are augmented."""

    name: str = science_field("fashion_scenes")
    kind: str = science_field("fashion_scenes")
    image_size: int = science_field(32)
    channels: int = science_field(1)
    num_classes: int = science_field(10)
    num_train: int | None = science_field(None)  # images; None = all
    num_val: int | None = science_field(None)
    # fashion, fashion_scenes, fashion_coco, fashion_clips: test | train (train = held-out training garments)
    val_source: str | None = science_field(None)
    mean: tuple[float, ...] = science_field((0.5,))  # of pixel values in [0, 1], one per channel
    std: tuple[float, ...] = science_field((0.25,))
    flip: bool = science_field(True)
    shift: int = science_field(0)  # largest random translation in pixels, edges repeated
    # fashion_scenes, fashion_coco, fashion_clips: spread of each one's own exposure, 0 = none, 1 = full
    exposure: float | None = science_field(None)
    clutter: int | None = science_field(None)  # fashion_scenes: pieces of other garments per scene
    # imagefolder: random-resized crop, share of the area
    crop_area: tuple[float, ...] | None = science_field(None)
    crop_aspect: tuple[float, ...] | None = science_field(None)
    jitter: float | None = science_field(None)  # imagefolder: brightness, contrast and saturation strength
    lighting: float | None = science_field(None)  # imagefolder: PCA lighting strength
    # imagefolder: shorter side before the centre crop; clips: in the test
    eval_resize: int | None = science_field(None)
    # kinetics, fashion_clips: shorter side in training, drawn between the two for each clip
    train_resize: tuple[int, ...] | None = science_field(None)
    clip_length: int | None = science_field(None)  # frames of a clip
    clip_span: int | None = science_field(None)  # frames of the video that a clip's are spread over
    num_clips: int | None = science_field(None)  # of each video in the test, evenly over its length
    # full = whole frames, for a fully convolutional test | three = crops along the longer side | center
    test_crop: str | None = science_field(None)
    # imagefolder: scaled = JPEGs decoded at the half, quarter or eighth that still covers the crop: other pixels,
    # faster for large files; None = whole
    decoder: str | None = science_field(None)
    # imagefolder, clips: skip = another stands in for a training image or video that cannot be read, and a video of val
    # is left out; coco: skip = odd entries are cut to their image, mended or left out; None or fail = the run ends
    on_error: str | None = science_field(None)
    # on_error=skip: what is skipped at most, or the run ends; a run that ends well is the same. None = 100
    max_skipped: int | None = hardware_field(None)
    # coco kinds: the model resizes an image's shorter side to min_size, unless its longer one would pass max_size
    min_size: int | None = science_field(None)
    max_size: int | None = science_field(None)
    # coco kinds: false = masks are not read, and the detector has no mask head: Faster R-CNN; None or true = they are
    masks: bool | None = science_field(None)
    sha256: str | None = science_field(None)  # of generated images; checked when they are made
    root: str | None = hardware_field(None)
    loader_workers: int = hardware_field(2)  # decoding processes; in-memory data uses none
    # seconds to wait for a decoding process that does not answer
    loader_timeout: float = hardware_field(300.0)
    # imagefolder, coco, kinetics: images or videos that the whole data set has; another count is said, not refused
    expected_train: int | None = hardware_field(None)
    expected_val: int | None = hardware_field(None)
    expected_of: str | None = hardware_field(None)  # data.name that these counts hold for; None = every

    @property
    def expected(self) -> dict[str, int | None]:
        """Images or videos of the whole data set, by split; None where no count holds for a set of this name."""
        is_known = self.expected_of in (None, self.name)
        return {
            "train": self.expected_train if is_known else None,
            "val": self.expected_val if is_known else None,
        }

    def __post_init__(self) -> None:
        require_name("data.name", self.name)
        require_at_least(self, 1, "data.", "image_size", "num_classes", "channels", "num_train", "num_val")
        require_at_least(self, 1, "data.", "expected_train", "expected_val")
        require_at_least(self, 1, "data.", "min_size", "max_size")
        require(
            self.min_size is None or self.max_size is None or self.min_size <= self.max_size,
            f"data.min_size must be at most data.max_size={self.max_size}, got {self.min_size}",
        )
        require_at_least(self, 1, "data.", "clip_length", "clip_span", "num_clips")
        require(
            self.clip_length is None
            or (self.clip_span or 0) % self.clip_length == 0 != (self.clip_span or 0),
            f"data.clip_span must be a multiple of data.clip_length={self.clip_length}, got {self.clip_span}",
        )
        require(
            self.test_crop in (None, "full", "three", "center"),
            f"data.test_crop must be full, three or center, got {self.test_crop}",
        )
        require_at_least(self, 0, "data.", "shift", "clutter", "loader_workers")
        require(
            len(self.mean) == len(self.std) == self.channels,
            f"data.mean and data.std need {self.channels} value(s), one per channel, got {self.mean} and {self.std}",
        )
        require(min(self.std) > 0, f"data.std must be positive, got {self.std}")
        require(
            self.exposure is None or 0 <= self.exposure <= 1,
            f"data.exposure must be in [0, 1], got {self.exposure}",
        )
        require(
            self.val_source in (None, "test", "train"),
            f"data.val_source must be test or train, got {self.val_source}",
        )
        require(
            self.on_error in (None, "fail", "skip"),
            f"data.on_error must be fail or skip, got {self.on_error}",
        )
        if self.on_error == "fail":
            object.__setattr__(self, "on_error", None)  # before any hash: spelled out it is the same run
        require(
            self.max_skipped is None or self.on_error == "skip",
            f"data.max_skipped is for data.on_error=skip, got {self.max_skipped}",
        )
        require_at_least(self, 0, "data.", "max_skipped")
        if self.masks:
            object.__setattr__(self, "masks", None)  # likewise
        require(self.decoder in (None, "scaled"), f"data.decoder must be scaled or null, got {self.decoder}")
        require(self.loader_timeout > 0, f"data.loader_timeout must be positive, got {self.loader_timeout}")

    @property
    def is_resized(self) -> bool:
        """Whether a detector resizes the images; of the small scale's data every one is as large as it is to be."""
        return not self.min_size == self.image_size == self.max_size
