"""Every plausible mistake is caught at its own task, by name, and punishes no other task."""

import pytest

from tests.project import trees
from tests.project.mistakes.bridges import MISTAKES as BRIDGE_MISTAKES
from tests.project.mistakes.guidance import MISTAKES as GUIDANCE_MISTAKES
from tests.project.mistakes.images import MISTAKES as IMAGE_MISTAKES
from tests.project.mistakes.likelihood import MISTAKES as LIKELIHOOD_MISTAKES
from tests.project.mistakes.plane import MISTAKES

ALL = MISTAKES | BRIDGE_MISTAKES | LIKELIHOOD_MISTAKES | IMAGE_MISTAKES | GUIDANCE_MISTAKES


@pytest.mark.parametrize("name", ALL)
def test_mistake_is_caught_at_its_task(name, tmp_path):
    task, file, old, new, said = ALL[name]
    results = trees.run_altered(tmp_path, [(file, old, new)])
    wrong = {test: result.message for test, result in results.items() if result.verdict != "done"}
    assert wrong, "nothing noticed it"
    assert {test.task for test in wrong} == {task}, wrong
    assert any(said in message for message in wrong.values()), wrong
