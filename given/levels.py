"""Given: the noise level of a sample, in all the forms that samplers and networks use."""

import torch


def alpha_std(sde, t, x):
    """The numbers alpha and std of X_t = alpha x_0 + std z, from marginal_prob.

    Both are (B, 1, ..., 1), so that they multiply x (B, ...) sample by sample.
    """
    one = torch.ones(len(x), *[1] * (x.ndim - 1), dtype=x.dtype, device=x.device)
    alpha, std = sde.marginal_prob(t, one)
    return alpha, torch.as_tensor(std).to(x).expand_as(alpha)
