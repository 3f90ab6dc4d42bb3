from typing import Any

import pytest
import torch

from benchmarks.few_shot.cvar import CVAR, Options, fit_cvar, fit_rows
from benchmarks.few_shot.towers import Towers
from training.towers.additive import AdditiveConfig

DIM, ITEMS, CLICKS = 8, 60, 3000
OLD = torch.arange(40)
NEW = torch.arange(40, ITEMS)
QUICK = Options(latent=8, learning_rate=0.02, iterations=20, batch=256)


@pytest.fixture
def towers() -> Towers:
    """Return towers whose id vectors are what content says, turned, and users near their item."""
    torch.manual_seed(1)
    content = torch.randn(ITEMS, DIM)
    turn = torch.linalg.qr(torch.randn(DIM, DIM))[0]
    item = AdditiveConfig(dim=DIM).build({"content": (DIM,), "preference": (DIM,)})
    clicked = torch.randint(ITEMS, (CLICKS,))
    ids = content @ turn
    users = torch.nn.functional.normalize((content + ids)[clicked], dim=1)
    unread: Any = None
    return Towers(
        data=unread,
        split=unread,
        users=users,
        content=content,
        ids=torch.where(torch.arange(ITEMS)[:, None] < 40, ids, torch.zeros(DIM)),
        is_known=torch.arange(ITEMS) < 40,
        click_user=users,
        click_item=clicked,
        temperature=0.1,
        _item=item.requires_grad_(False),
    )


def test_an_id_vector_is_generated_that_content_alone_tells(towers: Towers) -> None:
    torch.manual_seed(2)
    cvar, frequency = CVAR(towers, QUICK.latent), torch.ones(ITEMS)
    fit_cvar(cvar, towers, OLD, frequency, QUICK)
    with torch.no_grad():
        generated, _, _ = cvar(NEW, frequency)
    users = torch.nn.functional.normalize(generated, dim=1)
    present = torch.ones(len(NEW), dtype=torch.bool)
    clicks = torch.isin(towers.click_item, NEW).nonzero()[:, 0]
    loss = [
        towers.softmax_loss(clicks, NEW, towers.items(NEW, ids, shown)).item()
        for ids, shown in ((generated, present), (users, ~present))
    ]
    assert loss[0] < 0.7 * loss[1]  # against content alone


def test_training_later_moves_the_id_vectors_of_new_items_and_no_other(towers: Towers) -> None:
    torch.manual_seed(2)
    everyone = torch.arange(ITEMS)
    ids = fit_rows(towers, towers.ids, everyone, NEW, QUICK)
    assert torch.equal(ids[OLD], towers.ids[OLD])
    assert (ids[NEW] != towers.ids[NEW]).any(1).all()
    clicks = torch.isin(towers.click_item, NEW).nonzero()[:, 0]
    present = torch.ones(ITEMS, dtype=torch.bool)
    before, after = (
        towers.softmax_loss(clicks, everyone, towers.items(everyone, one, present)).item()
        for one in (towers.ids, ids)
    )
    assert after < before
