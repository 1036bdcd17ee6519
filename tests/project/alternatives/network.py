"""Correct answers to the tasks of sde_todo/network.py, written another way: name -> [(file, old, new), ...]."""

from tests.project.trees import answer

ALTERNATIVES = {
    "embedding by einsum, mlp by hand": [
        ("network", "angles = t[:, None] * self.freqs.to(t)",
         'angles = torch.einsum("b,f->bf", t, self.freqs.to(t))'),
        ("network", "self.layers = nn.Sequential(*layers[:-1])",
         "self.linears = nn.ModuleList(layers[::2])"),
        ("network", "        return self.layers(x)\n",
         "        for linear in self.linears[:-1]:\n"
         "            x = linear(x) * torch.sigmoid(linear(x))\n"
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
    "score from v by way of the data": [
        ("network", "return -(std * x + alpha * prediction) / std",
         "x0 = alpha * x - std * prediction\n        return (alpha * x0 - x) / std**2"),
    ],
    "denoiser by the coefficients of the paper": [
        ("network", "return s**2 * c_in * y + sigma * s * c_in * F",
         "c_skip, c_out = s**2 / (s**2 + sigma**2), sigma * s / (s**2 + sigma**2).sqrt()\n"
         "        return c_skip * (x / alpha) + c_out * F"),
        ("network", "c_in = (sigma**2 + s**2).rsqrt()", "c_in = 1 / torch.sqrt(sigma**2 + s * s)"),
    ],
    "embedding by complex numbers, mlp by functions": [
        answer("network", "TimeEmbedding.forward", """
            wave = torch.exp(1j * torch.outer(t, self.freqs.to(t)))
            return torch.cat((wave.imag, wave.real), -1)"""),
        answer("network", "MLP.__init__", """
            self.depth = len(sizes) - 1
            for i in range(self.depth):
                setattr(self, f"linear{i}", nn.Linear(sizes[i], sizes[i + 1]))"""),
        answer("network", "MLP.forward", """
            for i in range(self.depth):
                x = getattr(self, f"linear{i}")(x)
                if i < self.depth - 1:
                    x = nn.functional.silu(x)
            return x"""),
    ],
    "embedding by a list comprehension in float64, mlp with a dictionary": [
        answer("network", "TimeEmbedding.forward", """
            frequencies = self.freqs.double().tolist()
            columns = [torch.sin(w * t.double()) for w in frequencies]
            columns += [torch.cos(w * t.double()) for w in frequencies]
            return torch.stack(columns, dim=1).to(t)"""),
        answer("network", "MLP.__init__", """
            from collections import OrderedDict

            names = OrderedDict()
            last = len(sizes) - 2
            for k, (a, b) in enumerate(zip(sizes[:-1], sizes[1:])):
                names[f"linear_{k}"] = nn.Linear(a, b, bias=True)
                if k != last:
                    names[f"act_{k}"] = nn.SiLU(inplace=True)
            self.net = nn.Sequential(names)"""),
        answer("network", "MLP.forward", "return self.net(x)"),
    ],
    "embedding in a tensor made beforehand, mlp of bare parameters": [
        answer("network", "TimeEmbedding.forward", """
            n = len(self.freqs)
            out = torch.empty(len(t), 2 * n, dtype=t.dtype, device=t.device)
            angles = t.unsqueeze(-1) * self.freqs.unsqueeze(0).to(t)
            out[:, :n] = torch.sin(angles)
            out[:, n:] = torch.sin(angles + math.pi / 2)
            return out"""),
        answer("network", "MLP.__init__", """
            self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
            for n_in, n_out in zip(sizes, sizes[1:]):
                self.weights.append(torch.randn(n_out, n_in) / n_in**0.5)
                self.biases.append(torch.zeros(n_out))"""),
        answer("network", "MLP.forward", """
            for k, (W, b) in enumerate(zip(self.weights, self.biases)):
                x = torch.einsum("bi,oi->bo", x, W) + b
                x = x * torch.sigmoid(x) if k + 1 < len(self.weights) else x
            return x"""),
    ],
    "residual blocks as a module of their own": [
        ("network", "class SimpleNet(nn.Module):", '''class ResidualBlock(nn.Module):
    """z + MLP(z)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.inner = MLP([dim, hidden, dim])

    def forward(self, z: Tensor) -> Tensor:
        return z + self.inner(self.norm(z))


class SimpleNet(nn.Module):'''),
        answer("network", "SimpleNet.__init__", """
            self.encode = MLP((in_dim, *enc_shapes, z_dim))
            self.embedding = TimeEmbedding(dim=z_dim)
            self.of_time = MLP((z_dim, z_dim))
            self.trunk = nn.Sequential(*[ResidualBlock(z_dim, width) for width in dec_shapes])
            self.head = nn.Linear(z_dim, in_dim)
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)"""),
        answer("network", "SimpleNet.forward", """
            z = self.encode(x)
            z = z + self.of_time(self.embedding(t))
            return self.head(self.trunk(z))"""),
    ],
    "residual blocks that see the time": [
        answer("network", "SimpleNet.__init__", """
            self.x_in = MLP(list((in_dim,) + tuple(enc_shapes) + (z_dim,)))
            self.t_in = nn.Sequential(TimeEmbedding(z_dim, max_freq=100.0), nn.Linear(z_dim, z_dim))
            self.act = nn.SiLU()
            blocks = []
            for hidden in dec_shapes:
                blocks.append(MLP([z_dim, hidden, z_dim]))
            self.blocks = nn.ModuleList(blocks)
            self.last = MLP([z_dim, z_dim, in_dim])"""),
        answer("network", "SimpleNet.forward", """
            time = self.t_in(t)
            z = self.x_in(x) + time
            for block in self.blocks:
                z = torch.add(z, block(self.act(z + time)))
            return self.last(z)"""),
    ],
    "score by way of the noise": [
        answer("network", "get_score_fn.score_fn", """
            if predicts == "noise":
                z = prediction
            elif predicts == "data":
                z = (x - alpha * prediction) / std
            else:
                z = std * x + alpha * prediction
            return -(z / std)"""),
    ],
    "score by a table of functions": [
        answer("network", "get_score_fn.score_fn", """
            by_kind = {
                "noise": lambda p: p.div(std).neg(),
                "data": lambda p: alpha / std**2 * p - x / std**2,
                "v": lambda p: torch.addcmul(-x, alpha / std, p, value=-1),
            }
            return by_kind[predicts](prediction)"""),
    ],
    "denoiser by alpha and std, without sigma": [
        answer("network", "Denoiser.forward", """
            mean, std = self.sde.marginal_prob(t, torch.ones_like(x))
            alpha = mean[:, :1]
            std = torch.as_tensor(std).to(x).expand_as(x)[:, :1]
            s = self.sigma_data
            norm = torch.sqrt(std**2 + (s * alpha) ** 2)  # alpha / c_in
            y = x / norm
            angles = torch.einsum("bi,if->bf", y, self.directions)
            level = 2 * (torch.log(std) - torch.log(alpha))
            features = [3 * y, level, torch.sin(angles), torch.cos(angles)]
            F = self.layers(torch.cat(features, -1))
            return (s**2 * alpha * x / norm + s * std * F) / norm"""),
    ],
    "denoiser that mixes noise and data by the SNR": [
        answer("network", "Denoiser.forward", """
            alpha, std = alpha_std(self.sde, t, x)
            sigma = std / alpha
            weight = 1 / (1 + (sigma / self.sigma_data) ** 2)  # c_skip
            scaled = x / alpha
            y = scaled * weight.sqrt() / self.sigma_data
            waves = y @ self.directions
            inputs = torch.cat((3 * y, torch.log(sigma**2), waves.sin(), waves.cos()), dim=-1)
            return torch.lerp(torch.zeros_like(scaled), scaled, weight) + (
                sigma * weight.sqrt() * self.layers(inputs)
            )"""),
    ],
    "score from every prediction by way of x0": [
        answer("network", "get_score_fn.score_fn", """
            if predicts == "noise":
                x0 = (x - std * prediction) / alpha
            elif predicts == "v":
                x0 = alpha * x - std * prediction
            else:
                x0 = prediction
            return (alpha * x0 - x) / std.square()"""),
    ],
    "residual blocks with gains that start at 0": [
        answer("network", "SimpleNet.__init__", """
            self.encoder = MLP([in_dim, *enc_shapes, z_dim])
            self.time = nn.Sequential(TimeEmbedding(z_dim), MLP([z_dim, z_dim]))
            self.blocks = nn.ModuleList([MLP([z_dim, width, z_dim]) for width in dec_shapes])
            self.gains = nn.ParameterList(torch.zeros(()) for _ in dec_shapes)
            self.decoder = nn.Linear(z_dim, in_dim)"""),
        answer("network", "SimpleNet.forward", """
            z = torch.nn.functional.silu(self.encoder(x) + self.time(t))
            for gain, block in zip(self.gains, self.blocks):
                z = z + gain * block(z)
            return self.decoder(z)"""),
    ],
}  # fmt: skip
