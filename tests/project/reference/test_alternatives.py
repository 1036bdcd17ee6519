"""Correct answers written another way pass every graded test."""

import pytest

from tests.project import trees
from tests.project.alternatives.bridges import ALTERNATIVES as BRIDGE_ALTERNATIVES
from tests.project.alternatives.guidance import ALTERNATIVES as GUIDANCE_ALTERNATIVES
from tests.project.alternatives.images import ALTERNATIVES as IMAGE_ALTERNATIVES
from tests.project.alternatives.likelihood import ALTERNATIVES as LIKELIHOOD_ALTERNATIVES
from tests.project.alternatives.plane import ALTERNATIVES

ALL = ALTERNATIVES | IMAGE_ALTERNATIVES | BRIDGE_ALTERNATIVES | GUIDANCE_ALTERNATIVES
ALL |= LIKELIHOOD_ALTERNATIVES


@pytest.mark.parametrize(("seed", "name"), list(enumerate(ALL)))
def test_alternative_is_accepted(seed, name, tmp_path):
    for k in range(3):
        results = trees.run_altered(tmp_path, ALL[name], seed=seed + 100 * k)
        wrong = {test: r.message for test, r in results.items() if r.verdict != "done"}
        assert results and not wrong, wrong
