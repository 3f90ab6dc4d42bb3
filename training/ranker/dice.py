"""Dice: an activation that bends where its inputs lie."""

import torch
from torch import Tensor, nn

EPSILON = 1e-8
MOMENTUM = 0.1


class Dice(nn.Module):
    """s (p + (1 - p) alpha), p = sigmoid((s - E[s]) / sqrt(Var[s] + 1e-8)), by channel.

    Zhou et al., KDD 2018, equation 4. In training E and Var are those of the batch, gradients
    run through them, and a tenth of each moves into the averages that are used afterwards. Var is
    the mean squared distance (divisor n) in both. alpha is learned by channel and begins at 0.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, values: Tensor, counted: Tensor | None = None) -> Tensor:
        """Return float[..., channels] of the same.

        `counted` bool[...] says which places the batch's statistics are of; None: all.
        """
        mean, variance = self.mean, self.variance
        if self.training:
            rows = values.flatten(0, -2) if counted is None else values[counted]
            if len(rows):
                variance, mean = torch.var_mean(rows, dim=0, correction=0)
                self._move(mean.detach(), variance.detach())
        share = torch.sigmoid((values - mean) * torch.rsqrt(variance + EPSILON))
        return values * (share + (1 - share) * self.alpha)

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor) -> None:
        self.mean.lerp_(mean, MOMENTUM)
        self.variance.lerp_(variance, MOMENTUM)
