"""The pictures of the marks of Task 2: real images above yours."""

import numpy as np

from autograder.harness import picture


def rows_of(first, second, title):
    """Two rows of images of a mark below a row of real ones."""
    from given.images.figures import side_by_side

    return side_by_side({"real": some_real(), "yours": first, "yours ": second}, 10, title)


def some_real(count=10):
    """Real images in the order of the classes."""
    from tests.task2.test_marks import held_out

    test = held_out()
    first = [int(np.flatnonzero(test.labels == k)[0]) for k in range(len(test.classes))]
    return np.asarray(test.images[(first * count)[:count]])


@picture("2.4a")
class PlainGrid:
    """Images of all classes without guidance: are they clothes, in many shapes?"""

    of = "PlainImages"

    def draw(got):
        images = got["images"]
        pick = np.linspace(0, len(images) - 1, 20).astype(int)
        return rows_of(images[pick[:10]], images[pick[10:]], "Without guidance")


@picture("2.4b")
class GuidedGrid:
    """Guided to the class of each column: does every image show what was asked for?"""

    of = "GuidedImages"

    def draw(got):
        own = [np.flatnonzero(got["labels"] == k) for k in range(len(some_real()))]
        first, second = np.array([which[:2] for which in own]).T
        return rows_of(got["images"][first], got["images"][second], "Guided to a class")


@picture("2.4c")
class FilledGrid:
    """What surrounds the hole stays, and the filling goes on with it."""

    of = "FilledHoles"

    def draw(got, index, mask_seed):
        from given.images.figures import side_by_side
        from tests.task2.test_marks import held_out

        rows = {"original": np.asarray(held_out().images[index[:10]]), "filled": got["images"]}
        return side_by_side(rows, 10, "Filled holes")
