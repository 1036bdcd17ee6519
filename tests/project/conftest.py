"""Project tests run on the reference solutions, whatever the students' modules hold."""

import pytest
import torch

from autograder.harness import ROOT
from tests.project.trees import course_tree

torch.set_num_threads(1)  # as fast for tensors this small, and steady on a busy machine


@pytest.fixture
def solutions():
    """Import the TODO modules from solutions/ for the length of a test."""
    with course_tree(ROOT / "solutions"):
        yield
