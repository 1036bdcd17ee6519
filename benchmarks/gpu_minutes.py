"""FID against minutes of training: the recipe of train.py --minutes, measured on the way.

The averaged weights go into one network for sampling, which is compiled once and keeps its batch.
The reference is measured once, or comes as .npz. Minutes are those of training alone: compiling,
sampling and measuring take theirs from the deadline, and less is sampled where it would not end.
"""

import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu_report import start_afresh, sync
from benchmarks.gpu_speed import COMPILING, precision
from experiments.images import train as trainer
from experiments.images.samplers import multistep
from experiments.images.samplers.draw import (
    balanced_labels,
    by_scheduler,
    draw_images,
    make_fast,
)
from experiments.images.train_config import make_config
from experiments.images.training_loop import Run, parallel_model, train_step
from given.images.data.image_files import save_grid
from given.images.data.imageset import Loader, load_dataset
from given.images.fid.distances import frechet_distance
from given.images.fid.features import Features, load_features
from given.images.fid.measure import cache_folder
from given.images.fid.sources import open_source
from given.images.fid.summary import read_statistics, reference_summary, summarise
from given.images.load import build_network
from given.runtime.machine import can_compile
from image_diffusion.ddpm import DiffusionModule
from image_diffusion.scheduler import DPMSolverScheduler

STEPS = 20  # of DPM-Solver++, and of the stochastic multistep sampler
MARGIN = 10  # seconds of the deadline that stay free
LEAST = 500  # samples below which no distance is worth its time


def minutes(args, device, report, deadline):
    """Train for so many minutes; rows are distances by minute, then samplers at the end."""
    start_afresh(device)
    precision(tf32=True)
    train_set = load_dataset(args.dataset, "train", None, args.data_root)
    judge = Judge(args, device, report, train_set)
    judge.floor(args.dataset)
    run, step = training(args, device, train_set)
    model = sampling_model(run, device)
    begin = time.perf_counter()
    step()  # compiles
    sync(device)
    report.row("minutes", "first step", f"{time.perf_counter() - begin:.0f} s")
    spent = 0.0
    for until in [*sorted(minute for minute in args.checks if minute < args.minutes), args.minutes]:
        room = spent + deadline.left() - judge.reserve()  # the rate falls to 0 whatever is left
        run.budget.seconds = min(60 * args.minutes, room)
        stop = min(60 * until, run.budget.seconds)
        begin, first = time.perf_counter() - spent, run.step
        while (now := time.perf_counter() - begin) < stop:
            run.budget.tick(now)
            step()
        sync(device)
        speed = (run.step - first) * args.batch_size / (time.perf_counter() - begin - spent)
        spent = time.perf_counter() - begin
        name, last = f"after {spent / 60:.2f} minutes", stop >= run.budget.seconds
        about = {"minutes": spent / 60, "step": run.step, "images_per_second": speed}
        model.network.load_state_dict(run.average.module.state_dict())
        judge(model, name, args.final if last else args.on_the_way, deadline, **about)
        if last:
            break
    name = f"{name}, stochastic"
    if can_compile(device) and deadline.left() < COMPILING:  # it asks for another graph
        report.skipped("minutes", name, deadline, COMPILING)
    else:
        judge(model, name, args.on_the_way, deadline, stochastic, **about)
    judge.grid(args.out.with_name("gpu_minutes.png"))


def training(args, device, train_set):
    """The Run of the recipe, and a function that makes one step of it."""
    words = ["--dataset", args.dataset, "--batch_size", str(args.batch_size), "--use_cfg"]
    words += ["--minutes", str(args.minutes), "--lr", "1e-3", "--times", "edm", "--predicts", "edm"]
    words += ["--network", args.network, "--dropout", "0"] if args.network else []
    words += ["--ch", str(args.ch)] if args.ch else []
    run = Run(make_config(trainer.parse(words), train_set, device), device)
    model, loader = parallel_model(run), Loader(train_set, args.batch_size, device=device)

    def step():
        train_step(run, model, loader.batch(run.step))

    return run, step


def sampling_model(run, device):
    """A model whose weights are to be those of the average."""
    scheduler = DPMSolverScheduler(**run.config["scheduler"])
    scheduler.set_timesteps(STEPS)
    network = build_network(run.config["network"], scheduler.exact).to(device)
    make_fast(network, device, device.type == "cuda", can_compile(device))
    return DiffusionModule(network, scheduler.to(device)).eval()


def stochastic(model, batch_size, class_label=None, guidance_scale=0.0):
    """The stochastic multistep sampler, as draw_images wants it."""
    return multistep.draw(model, batch_size, class_label, guidance_scale, steps=STEPS)


class Judge:
    """Distances of samples to the training images, and what they cost.

    Args:
        args: of the command.
        device: where features are computed.
        report: a Report.
        train_set: the reference.
    """

    def __init__(self, args, device, report, train_set):
        self.args, self.report = args, report
        self.extractor = extractor_of(args, device)
        self.reference = self.measured_reference(train_set)
        self.seconds_an_image = 0.0
        self.samples = None

    def measured_reference(self, train_set):
        """The statistics of --reference, or of the training images, which are kept."""
        if self.args.reference:
            return read_statistics(self.args.reference)
        begin, source = time.perf_counter(), open_source(np.asarray(train_set.images))
        found = reference_summary(source, self.extractor, cache=cache_folder())
        text = f"{source.count:,} images in {time.perf_counter() - begin:.1f} s"
        self.report.row("minutes", f"reference, {self.extractor.name}", text)
        return found

    def distance(self, images):
        found = summarise(open_source(images), self.extractor)
        return frechet_distance(*self.statistics(self.reference), *self.statistics(found))

    def statistics(self, summary):
        return summary.mu.astype(float), summary.cov.astype(float)

    def floor(self, dataset):
        """The distance of real test images, which no model has to beat."""
        test = load_dataset(dataset, "test", None, self.args.data_root)
        begin, value = time.perf_counter(), self.distance(np.asarray(test.images))
        text = f"{value:7.2f} ({len(test):,} images, {time.perf_counter() - begin:.1f} s)"
        self.report.row("minutes", "test images", text, fid=value, images=len(test))

    def reserve(self):
        """Seconds of the deadline that the samples at the end need, as far as is known."""
        return MARGIN + self.seconds_an_image * self.args.final

    def __call__(self, model, name, count, deadline, draw=by_scheduler, **about):
        """Draw so many samples, or as many as there is time for, and measure them."""
        if self.seconds_an_image:
            room = (deadline.left() - MARGIN) / self.seconds_an_image
            count = min(count, int(room) // LEAST * LEAST) if room < count else count
        if count < min(LEAST, self.args.on_the_way):
            return self.report.skipped("minutes", name, deadline, MARGIN)
        labels = balanced_labels(count, model.num_classes)
        begin, size = time.perf_counter(), min(1000, self.args.on_the_way)
        images = draw_images(model, count, labels, 1.0, 0, size, draw, fill=True)
        drawn = time.perf_counter()
        value, end = self.distance(images), time.perf_counter()
        if self.samples is not None:  # the first time compiles
            self.seconds_an_image = (end - begin) / count
        self.samples = images[:100]
        text = f"{value:7.2f} ({count:,} images, {drawn - begin:.1f} + {end - drawn:.1f} s)"
        self.report.row("minutes", name, text, fid=value, images=count, **about)

    def grid(self, path):
        """Save the last samples as a picture."""
        if self.samples is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            save_grid(self.samples, path)


def extractor_of(args, device) -> Features:
    """The features of the command: Inception from a file of `halve` where one is named."""
    if not args.inception:
        return load_features(args.features, device)
    net = torch.jit.load(args.inception, map_location=device).float().eval()
    about = "Inception-v3 of the 2015 TensorFlow graph, weights rounded to half precision"
    key = f"inception-half-{args.inception.stat().st_size}"
    return Features("inception", net, 2048, 299, 3, 128.0, device, key, None, about)


def halve(path):
    """Write Inception with weights in half precision: its features move by .3%."""
    net = load_features("inception").net
    torch.jit.save(net.half(), path)
    print(f"{path}: {Path(path).stat().st_size / 2**20:.0f} MiB")
