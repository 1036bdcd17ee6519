"""Training, sampling and comparisons of image models."""
