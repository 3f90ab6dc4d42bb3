import torch

from training.ranker import BaseConfig


def test_the_mean_is_of_what_is_known_and_of_no_candidate() -> None:
    pooled = BaseConfig(dim=2).pooling()
    keys = torch.tensor([[[1.0, 4.0], [3.0, 0.0], [100.0, 100.0]]])
    known = torch.tensor([[True, True, False]])
    for query in (torch.zeros(1, 2), torch.tensor([[5.0, -5.0]])):
        assert pooled(keys, known, query, None).tolist() == [[2.0, 2.0]]
