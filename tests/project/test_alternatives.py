"""Correct answers written another way pass every graded test."""

import pytest

from tests.project import trees
from tests.project.alternatives import ALTERNATIVES


@pytest.mark.parametrize(("seed", "name"), list(enumerate(ALTERNATIVES)))
def test_alternative_is_accepted(seed, name, tmp_path):
    with trees.alterations(tmp_path, ALTERNATIVES[name]):
        results = trees.run_all(seed)
    wrong = {test: result.message for test, result in results.items() if result.verdict != "done"}
    assert not wrong, wrong
