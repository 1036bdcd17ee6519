"""What runs a student's modules: training, sampling, comparisons, reports."""
