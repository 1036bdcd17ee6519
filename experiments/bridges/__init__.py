"""Schrödinger bridges between sets of points and of images."""
