"""Multi-layer perceptrons: what every tower's networks are made of."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

Sizes = tuple[Annotated[int, Field(ge=1)], ...]
"""How many values the hidden layers of a network give, in order."""


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation; a batch of one row, which has no variance, goes by the running one."""

    def forward(self, values: Tensor) -> Tensor:
        """Return float[batch, features]."""
        if not self.training or len(values) > 1:
            return super().forward(values)
        return functional.batch_norm(
            values, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


Activation = Literal["relu", "tanh"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def layers(
    width: int,
    hidden: Sequence[int],
    dropout: float,
    *,
    batch_norm: bool = False,
    activation: Activation = "relu",
) -> nn.Sequential:
    """Return width -> hidden, each linear, batch norm if asked for, activation, neuron dropout."""
    found: list[nn.Module] = []
    for size in hidden:
        found += [nn.Linear(width, size), *([BatchNorm(size)] if batch_norm else [])]
        found += [ACTIVATIONS[activation]()]
        found += [nn.Dropout(dropout)] if dropout else []
        width = size
    return nn.Sequential(*found)


def mlp(
    width: int,
    hidden: Sequence[int],
    dim: int,
    dropout: float,
    *,
    batch_norm: bool = False,
    activation: Activation = "relu",
) -> nn.Sequential:
    """Return width -> hidden, as in `layers`, -> dim, the last layer linear."""
    network = layers(width, hidden, dropout, batch_norm=batch_norm, activation=activation)
    return network.append(nn.Linear([width, *hidden][-1], dim))
