"""What is said of shapes that met in a student's line, and of results of a wrong shape."""

import sys

import numpy as np
import pytest
import torch

from autograder import shapes


def add(t, x):
    return x + t


def scale(t, x):
    return t * x


def scale_flat(t, x):
    return x * t.flatten()


def scale_in_place(t, x):
    x *= t
    return x


def sum_images(t, x):
    return x.pow(2).sum(dim=(1, 2, 3))


def flatten_then_sum(t, x):
    return x.flatten(1).sum(2)


def product(t, x):
    return x @ t


def matrix(t, x):
    return x @ x


def fails_otherwise(t, x):
    return x.nothing


@pytest.mark.parametrize(
    ("function", "t", "x", "said"),
    [
        (scale, (7,), (7, 3), "t is (7,) and x is (7, 3). Reshape what belongs to a sample"),
        (scale_flat, (7, 1), (7, 3), "x is (7, 3) and t.flatten() is (7,). Reshape what"),
        (scale_in_place, (7,), (7, 3), "x is (7, 3) and t is (7,). Reshape what belongs"),
        (add, (5,), (5, 2, 3), "x is (5, 2, 3) and t is (5,). Is the second to be one number"),
        (scale, (7, 4), (7, 3), "t is (7, 4) and x is (7, 3)."),
        (matrix, (7,), (7, 3), "x is (7, 3) and x is (7, 3). The last axis"),
        (sum_images, (7,), (7, 3), "There x is (7, 3). A sample may be a point (B, D) or an image"),
        (flatten_then_sum, (7,), (7, 3), "There x is (7, 3)."),
        (fails_otherwise, (7,), (7, 3), ""),
    ],
)
def test_shapes_that_met_are_told_and_the_hint_is_for_them(function, t, x, said):
    assert of_crash(function, torch.ones(t), torch.ones(x)).startswith(
        said if said.startswith("There") else said and f"The shapes do not go together: {said}"
    )
    whole = of_crash(function, torch.ones(t), torch.ones(x))
    assert ("Reshape" in whole) == ("Reshape" in said)
    assert ("flatten each" in whole) == ("A sample may" in said)


def test_images_have_the_shape_of_images():
    said = of_crash(scale, torch.ones(5), torch.ones(5, 1, 4, 4), images=True)
    assert "(B, 1, 1, 1)" in said


def of_crash(function, t, x, images=False):
    with pytest.raises((RuntimeError, IndexError, AttributeError)) as caught:
        function(t, x)
    at = caught.value.__traceback__.tb_next
    assert sys.exc_info()[0] is None
    return shapes.of_crash(str(caught.value), at.tb_frame, at.tb_lineno, images)


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (np.arange(21.0).reshape(7, 3), np.arange(42.0).reshape(2, 7, 3), "the first of 2"),
        (21 + np.arange(21.0).reshape(7, 3), np.arange(42.0).reshape(2, 7, 3), "the last of 2"),
        (np.zeros((7, 5, 3)), np.ones((5, 7, 3)), "axes 0 and 1 are exchanged"),
        (np.zeros((7, 1)), np.ones(7), "an axis of length 1 too many"),
        (np.zeros((7, 7)), np.ones((7, 1)), "every sample met every other"),
        (np.zeros((7, 3)), np.ones(7), "a sum or mean over axis 1 is missing"),
        (np.zeros(3), np.ones(7), "sum over axis 1, not 0"),
        (np.zeros((7, 1)), np.ones((7, 3)), "one number for each sample"),
        (np.zeros(()), np.ones((7, 3)), "it is one number"),
        (np.zeros((3, 14)), np.ones((7, 6)), "as many numbers in another shape"),
        (np.zeros((5, 3)), np.ones((6, 3)), "1 too few along axis 0"),
    ],
)
def test_a_wrong_shape_is_described(got, want, said):
    assert said in shapes.of_result(got, want, {"x": np.ones((7, 3))})


def test_a_shape_like_none_of_these_has_no_description():
    assert shapes.of_result(np.zeros((2, 9)), np.ones((7, 3, 4)), {}) == ""
