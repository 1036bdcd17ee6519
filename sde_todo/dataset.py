"""Door: the point sets; their code is in given/plane/point_sets.py."""

from given.plane.point_sets import *  # noqa: F403
