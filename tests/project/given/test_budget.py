"""Training for some minutes: the rate falls to 0 when the time is up, and a stop loses none of it.

No test waits: the clock of the training loop is one that each step moves.
"""

import pytest

from experiments.images import train, training_loop
from given.runtime import training
from given.runtime.budget import TimeBudget
from given.runtime.checkpoint import read_checkpoint
from given.runtime.training import lr_factor


def spend(budget, seconds, now=0.0):
    """Tick until the budget is over, by the seconds of each step; return the shares before each."""
    shares, times = [], iter(seconds)
    budget.tick(now)
    while not budget.over():
        shares.append(budget.share)
        now += next(times)
        budget.tick(now)
    return shares


def test_the_share_goes_evenly_from_0_to_1_once_the_first_step_has_compiled():
    budget = TimeBudget(100.0)
    shares = spend(budget, [40.0] + [0.5] * 200)
    assert len(shares) == 121 - 1 and budget.spent == 99.5, "no step ends after the time"
    assert shares[:2] == [0, 0]
    assert shares[2:] == pytest.approx([k / 120 for k in range(1, 119)])


def test_a_budget_that_was_stopped_goes_on_with_what_is_left():
    budget, again = TimeBudget(100.0), TimeBudget(100.0)
    for now in (0.0, 10.0, *range(11, 56)):
        budget.tick(now)
    assert budget.spent == 55 and budget.share == pytest.approx(0.5)
    again.load(budget.state())
    shares = spend(again, [10.0] + [1.0] * 100, now=7.0)
    assert shares[:3] == pytest.approx([0.5, 0.5, 0.5 + 0.5 / 35]) and len(shares) == 35
    assert again.spent == 99


def test_a_run_that_is_done_has_nothing_left():
    budget, again = TimeBudget(10.0), TimeBudget(10.0)
    spend(budget, [1.0] * 20)
    budget.close()
    again.load(budget.state())
    assert again.over() and again.share == 1


def test_steps_that_take_longer_than_all_the_time_are_one():
    assert len(spend(TimeBudget(10.0), [25.0] * 3)) == 1


@pytest.fixture
def clock(monkeypatch):
    """The time of the training loop: 20 s for the first step of a start, then 1 s each.

    Returns:
        a list of (learning rate, time after the step) of all steps, and one for the numbers of
        steps in which a request to stop comes.
    """
    steps, now, starts = [], [0.0], []

    def step(run, *more):
        loss = plain(run, *more)
        now[0] += 1.0 if run in starts else 20.0
        starts.append(run)
        steps.append((run.optimizers[0].param_groups[0]["lr"], now[0]))
        run.signals += [2] * (len(steps) in stops)
        return loss

    plain, stops = training_loop.train_step, []
    monkeypatch.setattr(training_loop, "train_step", step)
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(train, "show", lambda *_: None)
    return steps, stops


def run(folder, *arguments):
    common = ["--save_dir", str(folder), "--batch_size", "2", "--device", "cpu", "--threads", "1"]
    whole = train.main([*common, "--minutes", "1", "--ch", "16", *arguments])
    return whole, read_checkpoint(folder / "last.ckpt")


def test_minutes_end_in_time_with_a_rate_that_rose_and_fell_to_0(tmp_path, clock):
    steps, _ = clock
    whole, state = run(tmp_path)
    rates = [rate / state["config"]["lr"] for rate, _ in steps]
    assert whole and len(steps) == 40 and steps[-1][1] == 59, "20 s, and 39 of the 40 left"
    assert rates[:2] == pytest.approx([lr_factor(0, 1000, 50)] * 2)
    assert max(rates) > 0.98 and rates[-1] < 0.01
    assert state["training"]["step"] == 40 and state["training"]["budget"]["share"] == 1
    assert state["config"]["ema"] == 1 and state["config"]["steps"] is None
    assert run(tmp_path, "--resume")[0] and len(steps) == 40, "nothing is left"


def test_minutes_that_were_stopped_go_on_with_what_is_left(tmp_path, clock):
    steps, stops = clock
    stops.append(10)
    whole, state = run(tmp_path)
    assert not whole and state["training"]["budget"]["spent"] == 29 == steps[-1][1]
    assert run(tmp_path, "--resume")[0]
    assert len(steps) == 21 and steps[-1][1] == 59, "the second start compiles as well"
    assert steps[-1][0] < 0.06 * state["config"]["lr"]
    for other in (["--minutes", "2"], ["--ema", "0.9"], ["--ch", "32"], ["--dropout", "0.1"]):
        with pytest.raises(ValueError, match=rf"was started with (no )?{other[0]}"):
            run(tmp_path, "--resume", *other)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--warmup 10", "--warmup 10 does not go with --minutes"),
        ("--no-decay", "--no-decay does not go with --minutes"),
        ("--minutes 0", "--minutes must be above 0, not 0"),
        ("--ema 1.5", "--ema 1.5: choose it in"),
        ("--dropout 0.1", "--dropout 0.1: PatchUNet has none"),
        ("--network ddpm --resolution 32 --dropout 1", r"--dropout 1: choose it in \[0, 1\)"),
        ("--network ddpm --resolution 32 --ch 44", "--ch 44: its norms cannot group so"),
        ("--ch 4", "--ch 4: choose 8 to 1024 channels"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(words, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        run(tmp_path, *words.split())


def test_minutes_and_steps_exclude_each_other(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, "--steps", "5")
    assert "not allowed with argument --minutes" in capsys.readouterr().err


def test_width_and_dropout_reach_the_network(tmp_path):
    for words, want in (
        ("--ch 32", {"ch": (32, 64)}),
        ("--network ddpm --ch 64 --dropout 0.25", {"ch": 64, "dropout": 0.25}),
    ):
        args = train.parse(words.split())
        images = train.data.load_dataset("fashion", "train", 32)
        network = train.make_config(args, images, train.torch.device("cpu"))["network"]
        assert {name: network[name] for name in want} == want
