"""Door: the metrics of point sets; their code is in given/plane/metrics.py."""

from given.plane.metrics import *  # noqa: F403
