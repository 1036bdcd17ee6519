"""Correct answers written another way pass every graded test, and have their pictures."""

import pytest

from tests.project import trees
from tests.project.alternatives import ALL, MODULES


@pytest.mark.parametrize(("seed", "name"), list(enumerate(ALL)))
def test_alternative_is_accepted(seed, name, tmp_path):
    check_accepted(tmp_path, name, seed)
    assert not trees.lost_pictures(tmp_path, ALL[name])


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "name"), list(enumerate(ALL)))
def test_alternative_is_accepted_with_other_numbers(seed, name, tmp_path):
    for k in range(1, 5):
        check_accepted(tmp_path, name, seed + 1000 * k)


def check_accepted(tmp_path, name, seed):
    results = trees.run_altered(tmp_path, ALL[name], seed=seed)
    wrong = {test: r.message for test, r in results.items() if r.verdict != "done"}
    assert results and not wrong, wrong


def test_every_alternative_has_a_name_of_its_own_and_is_in_the_file_of_its_module():
    assert len(ALL) == sum(len(module.ALTERNATIVES) for module in MODULES)
    for module in MODULES:
        files = {f.rpartition("/")[2] for c in module.ALTERNATIVES.values() for f, *_ in c}
        assert files == {module.__name__.rpartition(".")[2]}
