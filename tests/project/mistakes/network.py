"""Plausible mistakes in sde_todo/network.py: name -> (task, file, old, new, part of what is said)."""

MISTAKES = {
    "embedding cosines first": ("1.2a", "network", "[angles.sin(), angles.cos()]", "[angles.cos(), angles.sin()]", "sines first"),
    "mlp ends in an activation": ("1.2b", "network", "nn.Sequential(*layers[:-1])", "nn.Sequential(*layers)", "after the last layer"),
    "mlp without activations": ("1.2b", "network", "layers += [nn.Linear(n_in, n_out), nn.SiLU()]", "layers += [nn.Linear(n_in, n_out), nn.Identity()]", "straight line"),
    "network ignores time": ("1.2c", "network", "z = self.encoder(x) + self.time(t)", "z = self.encoder(x)", "ignores t"),
    "network takes the first time for all": ("1.2c", "network", "z = self.encoder(x) + self.time(t)", "z = self.encoder(x) + self.time(t)[:1]", "t[i] belongs to x[i]"),
    "blocks in a plain list": ("1.2c", "network", "nn.ModuleList(MLP([z_dim, width, z_dim]) for width in dec_shapes)", "[MLP([z_dim, width, z_dim]) for width in dec_shapes]", "dec_shapes"),
    "noise score without std": ("1.2d", "network", "return -prediction / std\n", "return -prediction\n", "not divided by std"),
    "noise score with std squared": ("1.2d", "network", "return -prediction / std\n", "return -prediction / std**2\n", "std^2"),
    "noise score with wrong sign": ("1.2d", "network", "return -prediction / std\n", "return prediction / std\n", "sign"),
    "data score forgets alpha": ("1.2d", "network", "(alpha * prediction - x) / std**2", "(prediction - x) / std**2", "alpha x_0"),
    "v score misses std": ("1.2d", "network", "-(std * x + alpha * prediction) / std", "-(std * x + alpha * prediction)", "-z/std"),
    "denoiser without c_skip": ("1.2k", "network", "return s**2 * c_in * y + sigma * s * c_in * F", "return x / alpha + sigma * s * c_in * F", "c_skip"),
    "denoiser forgets alpha": ("1.2k", "network", "y = c_in * x / alpha\n", "y = c_in * x\n", "alpha"),
}  # fmt: skip
