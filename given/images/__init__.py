"""Networks, presets, objectives, masks and figures of Task 2."""
