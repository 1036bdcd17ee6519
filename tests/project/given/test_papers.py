"""The commands on the pages of the papers, with all their options: nothing refuses them."""

import shlex

import pytest

from benchmarks.papers import PAGES, commands
from experiments.bridges import plane
from experiments.bridges.options import DEFAULTS, PRESETS, make_config
from experiments.images import sample, train

COMMANDS = [(page.stem, code) for page in sorted(PAGES.glob("*.md")) for code in commands(page)]


def words_after(code, name):
    """The options of a command, or None where it is another one."""
    _, found, options = code.partition(name)
    return shlex.split(options) if found else None


def test_every_paper_has_commands():
    assert {page for page, _ in COMMANDS} >= {"dsb", "guided_diffusion", "score_sde", "sdsb"}


@pytest.mark.parametrize("page, code", COMMANDS, ids=[code for _, code in COMMANDS])
def test_options_are_known_and_go_together(page, code):
    if (words := words_after(code, "-m sde_todo bridge")) is not None:
        args = plane.parse(words)
        make_config(args, DEFAULTS | PRESETS.get(args.method, {}))
    elif (words := words_after(code, "image_diffusion/train.py")) is not None:
        train.parse(words)
    elif (words := words_after(code, "image_diffusion/sampling.py")) is not None:
        sample.parse(words)
    else:
        assert code.startswith(("python -m ", "python image_diffusion/fid/", "python benchmarks/"))
