"""Every plausible mistake is caught at its own task, by name, and punishes no other task."""

import pytest

from tests.project import trees
from tests.project.mistakes import ALL, MODULES


@pytest.mark.parametrize("name", ALL)
def test_mistake_is_caught_at_its_task(name, tmp_path):
    task, file, old, new, said = ALL[name]
    results = trees.run_altered(tmp_path, [(file, old, new)])
    wrong = {test: result.message for test, result in results.items() if result.verdict != "done"}
    assert wrong, "nothing noticed it"
    assert {test.task for test in wrong} == {task}, wrong
    assert any(said in message for message in wrong.values()), wrong


def test_every_mistake_has_a_name_of_its_own_and_is_in_the_file_of_its_module():
    assert len(ALL) == sum(len(module.MISTAKES) for module in MODULES)
    for module in MODULES:
        files = {file.rpartition("/")[2] for _, file, *_ in module.MISTAKES.values()}
        assert files == {module.__name__.rpartition(".")[2]}
