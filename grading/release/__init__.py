"""What goes out: stubs, packages, Gradescope's container."""
