"""How submissions run, apart from everything that they could harm or read."""
