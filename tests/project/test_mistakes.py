"""Every plausible mistake is caught at its own task, by name, and punishes no other task."""

import pytest

from tests.project import trees
from tests.project.mistakes import MISTAKES


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_caught_at_its_task(name, tmp_path):
    task, file, old, new, said = MISTAKES[name]
    with trees.alterations(tmp_path, [(file, old, new)]):
        results = trees.run_all()
    wrong = {test: result.message for test, result in results.items() if result.verdict != "done"}
    assert wrong, "nothing noticed it"
    assert {test.task for test in wrong} == {task}, wrong
    assert any(said in message for message in wrong.values()), wrong
