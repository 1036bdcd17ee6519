"""Samplers of image models other than a scheduler."""
