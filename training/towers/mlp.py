"""A multi-layer perceptron: what every tower's networks are made of."""

from collections.abc import Sequence

from torch import nn


def mlp(width: int, hidden: Sequence[int], dim: int, dropout: float) -> nn.Sequential:
    """Return width -> hidden (ReLU, neuron dropout) -> dim, the last layer linear."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        layers += [nn.Dropout(dropout)] if dropout else []
        width = size
    return nn.Sequential(*layers, nn.Linear(width, dim))
