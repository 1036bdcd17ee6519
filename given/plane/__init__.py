"""Point sets, exact mixtures, metrics and figures of Task 1."""
