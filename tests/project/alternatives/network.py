"""Correct answers to the tasks of sde_todo/network.py, written another way: name -> [(file, old, new), ...]."""

ALTERNATIVES = {
    "embedding by einsum, mlp by hand": [
        ("network", "angles = t[:, None] * self.freqs.to(t)",
         'angles = torch.einsum("b,f->bf", t, self.freqs.to(t))'),
        ("network", "self.layers = nn.Sequential(*layers[:-1])",
         "self.linears = nn.ModuleList(layers[::2])"),
        ("network", "        return self.layers(x)\n",
         "        for linear in self.linears[:-1]:\n"
         "            x = torch.tanh(linear(x))\n"
         "        return self.linears[-1](x)\n"),
    ],
    "another network": [
        ("network", "z = z + block(nn.functional.silu(z))", "z = z + block(z)"),
        ("network", "self.out = nn.Sequential(nn.SiLU(), nn.Linear(z_dim, in_dim))",
         "self.out = nn.Sequential(nn.LayerNorm(z_dim), nn.GELU(), nn.Linear(z_dim, in_dim))"),
    ],
    "score by Tweedie for every prediction": [
        ("network", "return -(std * x + alpha * prediction) / std",
         "return -x - alpha / std * prediction"),
        ("network", "return (alpha * prediction - x) / std**2",
         "return -(x - prediction * alpha) / (std * std)"),
    ],
    "denoiser by the coefficients of the paper": [
        ("network", "return s**2 * c_in * y + sigma * s * c_in * F",
         "c_skip, c_out = s**2 / (s**2 + sigma**2), sigma * s / (s**2 + sigma**2).sqrt()\n"
         "        return c_skip * (x / alpha) + c_out * F"),
        ("network", "c_in = (sigma**2 + s**2).rsqrt()", "c_in = 1 / torch.sqrt(sigma**2 + s * s)"),
    ],
}  # fmt: skip
