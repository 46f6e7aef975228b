"""ImageNet's, COCO's and Kinetics' archives of a few files, laid out as they are published."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from gnexp.data.prepare import imagenet
from tests.data.annotations import annotations_path, write_coco
from tests.data.videos import moving, write_video

Members = Mapping[str, bytes | tarfile.TarInfo]
WNIDS = ("n01443537", "n01440764")  # ILSVRC2012_ID 1 and 2: the devkit's order is not that of names
TRUTH = (2, 1, 1, 2, 1, 2)  # of val's images
LABELS = {"train": ("a b", "c"), "val": ("a b", "c")}


def jpeg(seed: int, width: int = 48, height: int = 40) -> bytes:
    """A picture of its own."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def tar_of(members: Members) -> bytes:
    """A tar; a TarInfo stands for a member without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def odd_member(name: str, kind: bytes) -> tarfile.TarInfo:
    """A link to /etc/passwd, a device and the like."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def zip_of(members: Mapping[str, bytes]) -> bytes:
    """A zip; its images are stored, its annotations compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            how = zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED
            file.writestr(name, content, how)
    return buffer.getvalue()


def meta_mat(*, do_compression: bool = True) -> bytes:
    """The devkit's synsets: two classes, and one that has them below it."""
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height"]
    rows = [(i, wnid, f"fish {i}, Ḟish", "a fish", 0, [], 0) for i, wnid in enumerate(WNIDS, start=1)]
    rows.append((1001, "n02512053", "fish", "any of them", 2, [1, 2], 1))
    synsets = np.array(rows, dtype=[(name, object) for name in fields]).reshape(-1, 1)
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"synsets": synsets}, do_compression=do_compression)
    return buffer.getvalue()


def devkit(meta: bytes | None = None, truth: tuple[int, ...] = TRUTH) -> bytes:
    """ILSVRC2012_devkit_t12.tar.gz."""
    folder = "ILSVRC2012_devkit_t12"
    members = {
        f"{folder}/readme.txt": b"see there",
        f"{folder}/data/meta.mat": meta_mat() if meta is None else meta,
        f"{folder}/data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{i}\n" for i in truth).encode(),
    }
    return gzip.compress(tar_of(members))


def imagenet_train(num: int = 8) -> dict[str, bytes]:
    """The class tars of the outer tar."""
    return {
        f"{wnid}.tar": tar_of({f"{wnid}_{i}.JPEG": jpeg(100 * k + i) for i in range(num)})
        for k, wnid in enumerate(WNIDS)
    }


def imagenet_val() -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{i:08d}.JPEG": jpeg(1000 + i) for i in range(1, len(TRUTH) + 1)}


def write_imagenet(folder: Path) -> Path:
    """All three archives."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / imagenet.TRAIN).write_bytes(tar_of(imagenet_train()))
    (folder / imagenet.VAL).write_bytes(tar_of(imagenet_val()))
    (folder / imagenet.DEVKIT).write_bytes(devkit())
    return folder


def write_coco_zips(folder: Path) -> Path:
    """All three archives, with annotations beside those of instances; the plain files stay in folder/plain."""
    plain = folder / "plain"
    write_coco(plain, suffix="jpg")
    for split in ("train2017", "val2017"):
        images = {f"{split}/": b""} | {f"{split}/{p.name}": p.read_bytes() for p in (plain / split).iterdir()}
        (folder / f"{split}.zip").write_bytes(zip_of(images))
    annotations = {
        f"annotations/{path.name}": path.read_bytes()
        for path in (annotations_path(plain, split) for split in ("train", "val"))
    }
    annotations["annotations/captions_val2017.json"] = b"{}"
    (folder / "annotations_trainval2017.zip").write_bytes(zip_of(annotations))
    return folder


def write_kinetics_tars(folder: Path) -> dict[str, dict[str, bytes]]:
    """CVDF's layout; returns the right content of each video by split and name.

    The second tar of train is no gzip in spite of its name, as one of CVDF's was. A video of train is damaged and has a
    better copy, one is in no list, and one of the list is missing.
    """
    found: dict[str, dict[str, bytes]] = {}
    seed = 0
    for split, num in (("train", 4), ("val", 2)):
        rows, found[split] = ["label,youtube_id,time_start,time_end,split"], {}
        for label in LABELS[split]:
            for i in range(num):
                seed += 1
                name = f"video{seed:06d}_{i:06d}_{i + 10:06d}.mp4"
                write_video(folder / "x.mp4", moving(40, *((56, 40), (40, 48))[i % 2], channels=3, seed=seed))
                found[split][f"{label}/{name}"] = (folder / "x.mp4").read_bytes()
                rows.append(f"{label},{name[:11]},{i},{i + 10},{split}")
        rows.append(f"c,gonegonegon,1,11,{split}")
        lists = folder / "k400" / "annotations"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "x.mp4").unlink()
    for split, videos in found.items():
        place = folder / "k400_targz" / split
        place.mkdir(parents=True)
        flat = {f"./{name.partition('/')[2]}": content for name, content in videos.items()}
        first = next(iter(flat))
        if split == "train":
            replacement = folder / "k400_targz" / "replacement" / "replacement_for_corrupted_k400.tgz"
            replacement.parent.mkdir()
            better = {f"replacement_for_corrupted_k400{first[1:]}": flat[first]}
            replacement.write_bytes(gzip.compress(tar_of(better)))
            flat |= {first: b"no video", "./unlistedabc_000001_000011.mp4": b"of no class"}
        parts = [dict(list(flat.items())[k::2]) for k in range(2)]
        (place / "part_0.tar.gz").write_bytes(gzip.compress(tar_of(parts[0])))
        (place / "part_1.tar.gz").write_bytes(tar_of(parts[1]))
    return found
