import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

from export.contract.run import RunLayout
from tests.training.conftest import world_config
from training.batches import Batches
from training.checkpoint import load_checkpoint, resolved, save_checkpoint
from training.config import SelectConfig, TrainConfig, parse_config
from training.loop import (
    NotFinite,
    Progress,
    encode,
    learning_rate,
    optimiser,
    retrain,
    train,
)
from training.losses import SVSoftmax
from training.model import TwoTower
from training.prepare import Prepared, make_batches, make_encoders, prepare
from training.slices import SLICES

Figures = dict[str, float]


@pytest.fixture(scope="module")
def prepared(world: Path) -> Prepared:
    raw = world_config(world)
    raw["tower"] |= {"hidden": [8], "dropout": 0.2}
    return prepare(parse_config(raw, world / "train.yaml"))


@pytest.fixture(scope="module")
def batches(prepared: Prepared) -> Batches:
    return make_batches(prepared, make_encoders(prepared))


def configured(prepared: Prepared, **training: object) -> TrainConfig:
    options = prepared.config.training.model_copy(update=training)
    return prepared.config.model_copy(update={"training": options})


def new_model(prepared: Prepared) -> TwoTower:
    torch.manual_seed(5)
    return TwoTower(prepared.config, prepared.schema)


def told(figures: Iterable[float]) -> Callable[[TwoTower], Figures]:
    """Validate to given figures, whatever the model."""
    left = iter(figures)
    return lambda model: {"selected": next(left)}


def states(model: TwoTower) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in model.state_dict().values()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_training_lowers_the_loss(prepared: Prepared, batches: Batches) -> None:
    progress = train(configured(prepared, epochs=3), new_model(prepared), batches, told([1, 2, 3]))
    losses = [figures["loss"] for figures in progress.history]
    assert losses[2] < losses[1] < losses[0]


def test_equal_seeds_give_equal_numbers_and_others_do_not(
    prepared: Prepared, batches: Batches
) -> None:
    found = []
    for seed in (1, 1, 2):
        model, config = new_model(prepared), configured(prepared, seed=seed)
        reseeded = Batches(**{**vars(batches), "config": config})
        progress = train(config, model, reseeded, told([1, 2]))
        found.append(([one["loss"] for one in progress.history], states(model)))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])
    assert found[0][0] != found[2][0]


def test_a_stopped_training_goes_on_to_the_same_numbers(
    prepared: Prepared, batches: Batches
) -> None:
    config, whole = configured(prepared, epochs=3), new_model(prepared)
    expected = train(config, whole, batches, told([1, 2, 3]))

    class Stopped(Exception):
        pass

    def stop(progress: Progress, optimizer: torch.optim.Optimizer) -> None:
        raise Stopped

    model, progress, optimizer = new_model(prepared), Progress(), None
    optimizer = optimiser(config, model)
    with pytest.raises(Stopped):
        train(
            config,
            model,
            batches,
            told([1]),
            progress=progress,
            optimizer=optimizer,
            on_epoch=stop,
        )
    torch.manual_seed(999)  # what happened in between is of no account
    train(config, model, batches, told([2, 3]), progress=progress, optimizer=optimizer)
    assert progress.history == expected.history
    assert same(states(model), states(whole))


def test_of_equal_figures_the_higher_ndcg_decides(prepared: Prepared, batches: Batches) -> None:
    found = iter([(1.0, 0.2), (1.0, 0.4), (1.0, 0.3), (0.9, 0.5)])

    def validate(model: TwoTower) -> dict[str, float]:
        return dict(zip(("selected", "ndcg"), next(found), strict=True))

    model = new_model(prepared)
    progress = train(configured(prepared, epochs=4, patience=4), model, batches, validate)
    assert (progress.best_epoch, progress.best) == (2, 1.0)


def test_training_stops_once_patience_is_over_and_keeps_the_best(
    prepared: Prepared, batches: Batches
) -> None:
    model, after = new_model(prepared), []
    progress = train(
        configured(prepared, epochs=9, patience=2),
        model,
        batches,
        told([0.1, 0.3, 0.2, 0.3]),  # an equal figure is no better one
        on_epoch=lambda progress, optimizer: after.append(states(model)),
    )
    assert (progress.epoch, progress.best_epoch, progress.best) == (4, 2, 0.3)
    assert same(list(progress.best_weights.values()), after[1])
    assert not same(list(progress.best_weights.values()), after[3])


def test_a_training_that_is_over_is_not_gone_on_with(prepared: Prepared, batches: Batches) -> None:
    config, model = configured(prepared, epochs=9, patience=1), new_model(prepared)
    progress = train(config, model, batches, told([0.2, 0.1]))
    before = states(model)
    train(config, model, batches, told([]), progress=progress)
    assert progress.epoch == 2
    assert same(states(model), before)


def test_the_states_of_an_epoch_are_told(prepared: Prepared, batches: Batches) -> None:
    figures = train(configured(prepared, epochs=1), new_model(prepared), batches, told([1]))
    shares = figures.history[0]["states"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["item_cold"] + shares["both_cold"] == pytest.approx(0.5, abs=0.05)


def test_a_loss_that_is_no_number_stops_with_the_batchs_facts(
    prepared: Prepared, batches: Batches
) -> None:
    config = configured(prepared)
    broken = Batches(**{**vars(batches), "weight": batches.weight * math.nan})
    with pytest.raises(NotFinite) as error:
        train(config, new_model(prepared), broken, told([1]))
    message = str(error.value)
    facts = ("loss is nan", "epoch 1, step 1", "in_batch_softmax", "256 rows", "first [", "states")
    for fact in facts:
        assert fact in message


def test_the_learning_rate_rises_and_falls_over_half_a_cosine(prepared: Prepared) -> None:
    config = configured(prepared, learning_rate=0.5, warmup=0.2)
    rates = [learning_rate(config, step, 50) for step in range(50)]
    assert rates[:10] == pytest.approx([0.5 * (step + 1) / 11 for step in range(10)])
    assert rates[10] == 0.5
    assert rates[30] == pytest.approx(0.25)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[49] < 0.001


def test_a_constant_learning_rate_stays(prepared: Prepared) -> None:
    config = configured(prepared, learning_rate=0.5, warmup=0.0, decay="constant")
    assert {learning_rate(config, step, 50) for step in range(50)} == {0.5}


def test_each_decay_acts_on_its_own_parameters(prepared: Prepared) -> None:
    model = new_model(prepared)
    config = configured(prepared, embedding_decay=0.3, weight_decay=0.1)
    tables, networks = optimiser(config, model).param_groups
    assert (tables["weight_decay"], networks["weight_decay"]) == (0.3, 0.1)
    assert tables["params"] == model.tables()
    assert networks["params"] == model.networks()


def test_no_step_has_gradients_beyond_the_norm_that_bounds_them(
    prepared: Prepared, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    usual = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, closure: None = None) -> object:
        found = [one.grad for g in self.param_groups for one in g["params"] if one.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(found).item())
        return usual(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    train(configured(prepared, epochs=1), new_model(prepared), batches, told([1]))
    bound = sorted(norms)[len(norms) // 2]
    free = norms.copy()
    norms.clear()
    config = configured(prepared, epochs=1, clip_norm=bound)
    train(config, new_model(prepared), batches, told([1]))
    assert max(free) > bound * 1.01
    assert max(norms) == pytest.approx(bound, rel=1e-4)


EPOCHS = (  # validation's recall by slice; each slice has an epoch of its own that is best in it
    {"warm": 0.9, "cold_item": 0.1, "cold_user": 0.1, "cold_both": 0.1, "all": 0.1},
    {"warm": 0.1, "cold_item": 0.9, "cold_user": 0.1, "cold_both": 0.1, "all": 0.1},
    {"warm": 0.1, "cold_item": 0.1, "cold_user": 0.9, "cold_both": 0.1, "all": 0.1},
    {"warm": 0.1, "cold_item": 0.1, "cold_user": 0.1, "cold_both": 0.9, "all": 0.1},
    {"warm": 0.1, "cold_item": 0.1, "cold_user": 0.1, "cold_both": 0.1, "all": 0.9},
)


@pytest.mark.parametrize("name", SLICES)
def test_the_slice_of_most_weight_selects_the_epoch(
    prepared: Prepared, batches: Batches, name: str
) -> None:
    select = SelectConfig.model_validate({name: 3})
    config = configured(prepared, epochs=len(EPOCHS), patience=len(EPOCHS))
    figures = told(select.figure(epoch) for epoch in EPOCHS)
    progress = train(config, new_model(prepared), batches, figures)
    assert progress.best_epoch == SLICES.index(name) + 1


def test_retraining_runs_the_schedule_to_its_end_over_the_epochs_that_were_selected(
    prepared: Prepared, batches: Batches
) -> None:
    longer, shorter = (new_model(prepared) for _ in range(2))
    losses = retrain(configured(prepared, epochs=4), longer, batches, 2)
    train(configured(prepared, epochs=2), shorter, batches, told([1, 2]))
    assert len(losses) == 2
    assert same(states(longer), states(shorter))


@pytest.fixture(scope="module")
def learning(world: Path) -> tuple[Prepared, Batches]:
    """A run whose loss learns a scale and a bias of its own."""
    raw = world_config(world) | {"losses": [{"kind": "pointwise"}]}
    raw["training"] |= {"weight_decay": 0.5}
    found = prepare(parse_config(raw, world / "train.yaml"))
    return found, make_batches(found, make_encoders(found))


def test_what_a_loss_learns_is_trained_without_decay(learning: tuple[Prepared, Batches]) -> None:
    prepared, batches = learning
    model = new_model(prepared)
    before = [one.item() for one in model.losses.parameters()]
    *_, own = optimiser(prepared.config, model).param_groups
    assert own["weight_decay"] == 0
    assert own["params"] == list(model.losses.parameters())
    assert not {*own["params"]} & {*model.networks(), *model.tables()}
    train(configured(prepared, epochs=1), model, batches, told([1]))
    after = [one.item() for one in model.losses.parameters()]
    assert all(abs(a - b) > 1e-3 for a, b in zip(after, before, strict=True))


def test_what_a_loss_was_told_not_to_learn_stays(learning: tuple[Prepared, Batches]) -> None:
    prepared, batches = learning
    (loss,) = prepared.config.losses
    fixed = prepared.config.model_copy(
        update={"losses": (loss.model_copy(update={"learned": False}),)}
    )
    torch.manual_seed(5)
    model = TwoTower(fixed, prepared.schema)
    assert len(optimiser(fixed, model).param_groups) == 2
    before = [one.item() for one in model.losses.parameters()]
    train(fixed, model, batches, told([1, 2]))
    assert [one.item() for one in model.losses.parameters()] == before


def test_a_checkpoint_holds_what_a_loss_learned(
    learning: tuple[Prepared, Batches], tmp_path: Path
) -> None:
    prepared, batches = learning
    config, whole = configured(prepared, epochs=2), new_model(prepared)
    expected = train(config, whole, batches, told([1, 2]))
    layout, first = RunLayout(tmp_path), new_model(prepared)
    layout.config.write_text(resolved(config, layout.folder), encoding="utf-8")

    class Stopped(Exception):
        pass

    def stop(progress: Progress, optimizer: torch.optim.Optimizer) -> None:
        save_checkpoint(layout, "its data", first, optimizer, progress)
        raise Stopped

    with pytest.raises(Stopped):
        train(config, first, batches, told([1]), on_epoch=stop)
    again = new_model(prepared)
    progress, optimizer = load_checkpoint(layout, "its data", config, again)
    train(config, again, batches, told([2]), progress=progress, optimizer=optimizer)
    assert progress.history == expected.history
    assert same(states(again), states(whole))


class FirstStep(Exception):
    """Ends a training of which no more is asked."""


def test_the_loss_is_the_weighted_sum_of_the_list(prepared: Prepared, batches: Batches) -> None:
    """The first step's loss, before anything has moved."""
    (softmax,) = prepared.config.losses
    weighted = softmax.model_copy(update={"weight": 0.25})
    alike = SVSoftmax(gamma=10.0, t=1.0, weight=0.5)
    found = {}
    for losses in ((softmax,), (alike,), (weighted, alike)):
        config = configured(prepared).model_copy(update={"losses": losses})
        torch.manual_seed(5)
        seen: list[float] = []

        def first(step: int, loss: float, seen: list[float] = seen) -> None:
            seen.append(loss)
            raise FirstStep

        with pytest.raises(FirstStep):
            train(
                config,
                TwoTower(config, prepared.schema),
                batches,
                told([1]),
                on_step=first,
            )
        found[len(losses), losses[0].kind] = seen[0]
    expected = 0.25 * found[1, "in_batch_softmax"] + found[1, "sv_softmax"]
    assert found[2, "in_batch_softmax"] == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def distilling(world: Path) -> tuple[Prepared, Batches]:
    """A run whose view without preference learns from the one with it."""
    raw = world_config(world) | {
        "losses": [{"kind": "in_batch_softmax"}, {"kind": "distillation", "weight": 5}],
        "tower": {"kind": "dropoutnet", "dim": 8, "dropout": 0.3},
    }
    raw["training"] |= {"learning_rate": 0.003}
    found = prepare(parse_config(raw, world / "train.yaml"))
    return found, make_batches(found, make_encoders(found))


def test_the_warm_view_is_the_model_as_it_is_served(
    distilling: tuple[Prepared, Batches],
) -> None:
    """Without neuron dropout, by the moving statistics, which it leaves alone; no gradient."""
    prepared, batches = distilling
    model, batch = new_model(prepared).train(), next(batches.epoch(0))
    assert batch.warm is not None
    moving = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    assert moving
    torch.manual_seed(3)
    scored = encode(model, batch)
    assert scored.warm is not None
    after = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    assert model.training
    assert not scored.warm.users.requires_grad
    assert not scored.warm.items.requires_grad
    assert scored.user_vectors.requires_grad
    model.load_state_dict(moving, strict=False)
    torch.manual_seed(3)
    torch.testing.assert_close(model.user(batch.user), scored.user_vectors)
    model.item(batch.item)
    for name, value in after.items():  # moved by the view that is trained, and by it alone
        assert torch.equal(value, model.state_dict()[name])
    model.load_state_dict(moving, strict=False)
    model.eval()
    torch.testing.assert_close(model.user(batch.warm[0]), scored.warm.users)
    torch.testing.assert_close(model.item(batch.warm[1]), scored.warm.items)


def test_distillation_brings_the_cold_view_nearer_to_the_warm_one(
    distilling: tuple[Prepared, Batches],
) -> None:
    prepared, batches = distilling
    softmax, distillation = prepared.config.losses
    divergence = distillation.build()
    apart = {}
    for losses in ((softmax,), (softmax, distillation)):
        config = configured(prepared, epochs=3).model_copy(update={"losses": losses})
        torch.manual_seed(5)
        model = TwoTower(config, prepared.schema)
        train(config, model, batches, told([1, 2, 3]))
        apart[len(losses)] = divergence(encode(model, next(batches.epoch(9)))).item()
    assert apart[2] < 0.8 * apart[1]
