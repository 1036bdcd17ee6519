"""Torment the course for a while, at random from a seed, and print what it survived.

    python benchmarks/endurance.py --minutes 30 --seed 0
    python benchmarks/endurance.py --minutes 5 --only "full disk" images

Runs of training and sampling are killed, stopped, left without disk, without rights, without their
data, with a clock that jumps, two at a time; then the documented command goes on with them. Each
must end with the bits of a run that nothing disturbed, or say in one line what is wrong. Ctrl-C
ends it with the table so far. The rows are also in results/benchmarks/endurance.json.

Full and read-only disks are tmpfs mounts in a namespace of their own, which takes root or
unprivileged namespaces; elsewhere a limit on the size of files and the rights of folders do it.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("COURSE", str(Path(__file__).resolve().parents[1] / "solutions"))

from benchmarks import endurance_runs as runs
from benchmarks.endurance_torments import LIMIT, TORMENTS, Trial
from given.runtime.files import write

OUT = Path("results/benchmarks/endurance.json")


def undisturbed(scratch, kinds):
    """For each kind a Job, and the folder and digest of a run that nothing disturbed."""
    result = {}
    for kind in kinds:
        job, folder = runs.Job(kind, scratch / "data", scratch), scratch / "right" / kind
        folder.mkdir(parents=True)
        start = time.perf_counter()
        done = runs.Done(job.start(folder), 2 * LIMIT)
        if not job.whole(done):
            sys.exit(f"The undisturbed run of {kind} failed: {' | '.join(done.lines[-3:])}")
        result[kind] = job, folder, job.digest(folder)
        print(f"undisturbed {kind}: {time.perf_counter() - start:.1f} s", flush=True)
    return result


def torment(name, job, right_folder, right, seed, scratch):
    """One trial; returns the row that it adds."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    trial = Trial(job, random.Random(seed), folder, right)
    trial.right_folder = right_folder
    start = time.perf_counter()
    with runs.ended(trial.started):
        TORMENTS[name][0](trial)
    shutil.rmtree(folder)
    row = {"torment": name, "job": job.kind, "seed": seed, "wrong": trial.wrong}
    return row | {"said": trial.said, "seconds": round(time.perf_counter() - start, 1)}


def rounds(args, scratch, trials):
    """Torment until the time is over; each trial joins the list `trials`."""
    rng, deck, end = random.Random(args.seed), [], time.monotonic() + 60 * args.minutes
    pairs = [(name, kind) for name, (_, kinds) in TORMENTS.items() for kind in kinds]
    pairs = [pair for pair in pairs if all(word in " ".join(pair) for word in args.only)]
    if not pairs:
        sys.exit(f"--only {' '.join(args.only)} leaves none of {', '.join(TORMENTS)}.")
    jobs = undisturbed(scratch, sorted({kind for _, kind in pairs}))
    while time.monotonic() < end:
        deck = deck or rng.sample(pairs, len(pairs))
        name, kind = deck.pop()
        trials.append(torment(name, *jobs[kind], rng.randrange(2**32), scratch))
        row = trials[-1]
        verdict = "; ".join(row["wrong"]) or "survived"
        print(f"{len(trials):4} {name}, {kind}, {row['seconds']:.0f} s: {verdict}", flush=True)


def table(trials):
    """A row for each torment, as texts."""
    lines = [f"{'torment':<25}{'tried':>6}{'survived':>10}{'lines':>7}  example"]
    for name in TORMENTS:
        own = [trial for trial in trials if trial["torment"] == name]
        said = [line for trial in own for line in trial["said"]]
        example = max(said, key=said.count) if said else ""
        survived = sum(not trial["wrong"] for trial in own)
        lines.append(f"{name:<25}{len(own):>6}{survived:>10}{len(said):>7}  {example}")
    return lines


def report(trials, args, minutes, scratch):
    """Print the table and the failures, and write them; returns how many failed."""
    failed = [trial for trial in trials if trial["wrong"]]
    print("\n".join(["", *table(trials)]).replace(str(scratch), "…"))
    for trial in failed:
        print(f"{trial['torment']}, {trial['job']}: {'; '.join(trial['wrong'])}")
    mounts = os.environ.get("ENDURANCE_MOUNTS", "RLIMIT_FSIZE and chmod")
    print(f"{len(trials)} trials in {minutes:.1f} minutes, {len(failed)} failed. Disks: {mounts}.")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    result = {"seed": args.seed, "minutes": minutes, "disks": mounts, "trials": trials}
    text = json.dumps(result, indent=2).replace(str(scratch), "…")
    write(OUT, text + "\n")
    return len(failed)


def interrupt(*_):
    raise KeyboardInterrupt


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=[], help="words of a torment and a run")
    args = parser.parse_args()
    runs.own_mounts()
    signal.signal(signal.SIGTERM, interrupt)
    start, trials = time.monotonic(), []
    scratch = Path(tempfile.mkdtemp(prefix="endurance-"))
    try:
        rounds(args, scratch, trials)
    except KeyboardInterrupt:
        print("Stopped.")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(1 if report(trials, args, (time.monotonic() - start) / 60, scratch) else 0)


if __name__ == "__main__":
    main()
