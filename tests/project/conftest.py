"""Project tests run on the reference solutions, whatever the students' modules hold."""

import pytest

from tests.harness import ROOT
from tests.project.trees import course_tree


@pytest.fixture
def solutions():
    """Import the TODO modules from solutions/ for the length of a test."""
    with course_tree(ROOT / "solutions" / "sde_todo"):
        yield
