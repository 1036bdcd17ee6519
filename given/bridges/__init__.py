"""Networks, figures and ground truth of Schrödinger bridges."""
