import math

import pytest
import torch
from pydantic import ValidationError

from tests.training.losses.made import LOG_Q, SCORES, batch, cell
from training.losses.in_batch_softmax import InBatchSoftmax


def by_hand(logits: list[list[float]], weights: list[float] | None = None) -> float:
    """-log softmax of the diagonal, weighted mean."""
    weights = weights or [1.0] * len(logits)
    losses = [
        math.log(sum(math.exp(one) for one in row)) - row[place] for place, row in enumerate(logits)
    ]
    return sum(w * one for w, one in zip(weights, losses, strict=True)) / sum(weights)


def test_the_softmax_equals_its_formula_worked_by_hand() -> None:
    logits = [[s / 0.5 - q for s, q in zip(row, LOG_Q, strict=True)] for row in SCORES]
    found = InBatchSoftmax(temperature=0.5)(batch(weight=torch.tensor([1.0, 2.0, 0.5])))
    assert found.item() == pytest.approx(by_hand(logits, [1.0, 2.0, 0.5]), rel=1e-6)


def test_its_gradient_is_the_chance_less_the_answer() -> None:
    scores = torch.tensor(SCORES, requires_grad=True)
    InBatchSoftmax(temperature=0.5)(batch(scores, weight=torch.tensor([1.0, 3.0, 0.0]))).backward()  # type: ignore[no-untyped-call]
    chance = (torch.tensor(SCORES) / 0.5 - torch.tensor(LOG_Q)).softmax(1)
    share = torch.tensor([[0.25], [0.75], [0.0]])
    assert scores.grad is not None
    torch.testing.assert_close(scores.grad, share * (chance - torch.eye(3)) / 0.5)


def test_only_candidates_are_negatives() -> None:
    alone = InBatchSoftmax()(batch(candidate=torch.zeros(3, 3, dtype=torch.bool)))
    assert alone.item() == 0
    one = InBatchSoftmax(logq="off", temperature=1)(batch(candidate=cell(0, 1)))
    assert one.item() == pytest.approx(math.log(1 + math.exp(0.5 - 0.9)) / 3)


def test_candidates_beyond_the_batch_are_negatives_too() -> None:
    wider = torch.tensor([[*row, 0.8] for row in SCORES])
    assert InBatchSoftmax(logq="off")(batch(wider)) > InBatchSoftmax(logq="off")(batch())


def test_temperature_divides_the_scores() -> None:
    loss = InBatchSoftmax(temperature=0.2, logq="off")
    logits = [[s / 0.2 for s in row] for row in SCORES]
    assert loss(batch()).item() == pytest.approx(by_hand(logits), rel=1e-6)
    assert loss(batch()) < InBatchSoftmax(temperature=0.4, logq="off")(batch())


def test_logq_makes_a_rare_negative_count_for_more_and_a_frequent_one_for_less() -> None:
    loss = InBatchSoftmax()
    frequent = batch(log_q=torch.tensor([-2.0, -2.0, -0.5]), weight=torch.tensor([1.0, 0, 0]))
    rare = batch(log_q=torch.tensor([-2.0, -2.0, -5.0]), weight=torch.tensor([1.0, 0, 0]))
    assert loss(frequent) < loss(rare)
    off = InBatchSoftmax(logq="off")
    assert off(frequent) == off(rare)


def test_logq_makes_a_popular_item_easier_to_be_right_about() -> None:
    """A model that scores all alike is corrected to the items' true shares of clicks."""
    share = torch.tensor([0.7, 0.2, 0.1])
    scores = 0.1 * share.log().expand(3, 3)  # temperature times log p: what is to be learned
    found = InBatchSoftmax(temperature=0.1)(batch(scores, log_q=share.log()))
    assert found.item() == pytest.approx(math.log(3))  # drawn by q, no candidate stands out


def test_an_accidental_hit_is_no_negative() -> None:
    hit = batch(same_item=torch.eye(3, dtype=torch.bool) | cell(0, 1))
    assert InBatchSoftmax()(hit) < InBatchSoftmax()(batch())
    kept = InBatchSoftmax(mask_accidental_hits=False)
    assert kept(hit) == kept(batch())


def test_a_known_positive_is_no_negative() -> None:
    known = batch(known_positive=cell(2, 0))
    assert InBatchSoftmax()(known) < InBatchSoftmax()(batch())
    kept = InBatchSoftmax(mask_known_positives=False)
    assert kept(known) == kept(batch())


def test_the_own_item_is_never_masked() -> None:
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert InBatchSoftmax()(batch(same_item=everything, known_positive=everything)).item() == 0


def test_cold_odds_are_odds() -> None:
    """Where the model is right about chances p, an item seen cold is wanted `cold_odds` times."""
    p, odds = torch.tensor([0.5, 0.3, 0.2]), 3.0
    cold = torch.tensor([False, False, True])
    wanted = p * torch.where(cold, odds, 1.0)
    scores = 0.1 * wanted.log().expand(3, 3).clone().requires_grad_()
    loss = InBatchSoftmax(temperature=0.1, cold_odds=odds)(
        batch(scores, log_q=p.log(), cold=cold, weight=torch.ones(3))
    )
    assert loss.item() == pytest.approx(math.log(3))


def test_cold_odds_lift_cold_candidates_whatever_logq_says() -> None:
    cold = torch.tensor([False, True, False])
    row = torch.tensor([0.0, 1.0, 0.0])
    for logq in ("off", "classic", "refined"):
        plain = InBatchSoftmax(logq=logq)(batch(cold=cold, weight=row))
        lifted = InBatchSoftmax(logq=logq, cold_odds=4.0)(batch(cold=cold, weight=row))
        assert lifted > plain  # so training has to push the cold item further up


def test_an_unquoted_off_of_yaml_means_off() -> None:
    assert InBatchSoftmax.model_validate({"logq": False}).logq == "off"
    with pytest.raises(ValidationError, match="logq"):
        InBatchSoftmax.model_validate({"logq": True})


@pytest.mark.parametrize("option", ["temperature", "weight", "cold_odds"])
def test_an_option_has_to_be_above_zero(option: str) -> None:
    with pytest.raises(ValidationError, match=option):
        InBatchSoftmax.model_validate({option: 0})


def test_refined_logq_corrects_what_was_drawn_and_leaves_the_own_item_alone() -> None:
    """Worked by hand: each of the two other candidates stands for 1 / (2 q) of the catalogue."""
    total = 0.0
    for row, scores in enumerate(SCORES):
        drawn = [
            math.exp(score / 0.5) / (2 * math.exp(q))
            for column, (score, q) in enumerate(zip(scores, LOG_Q, strict=True))
            if column != row
        ]
        own = math.exp(scores[row] / 0.5)
        total -= math.log(own / (own + sum(drawn)))
    found = InBatchSoftmax(temperature=0.5, logq="refined")(batch())
    assert found.item() == pytest.approx(total / 3, rel=1e-6)


def test_the_gradient_of_refined_logq_is_that_of_the_published_form() -> None:
    """-sg(1 - P) log(exp f / sum over the candidates drawn of exp(f' - log(n q)))."""
    scores = torch.tensor(SCORES, requires_grad=True)
    InBatchSoftmax(temperature=0.5, logq="refined")(batch(scores)).backward()  # type: ignore[no-untyped-call]
    published = torch.tensor(SCORES, requires_grad=True)
    logits = published / 0.5
    corrected = logits - torch.tensor(LOG_Q) - math.log(2)
    rest = corrected.masked_fill(torch.eye(3, dtype=torch.bool), -torch.inf).logsumexp(1)
    own = logits.diag()
    chance = own.exp() / (own.exp() + rest.exp())
    ((1 - chance).detach() * (rest - own)).mean().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(scores.grad, published.grad)


def expected_gradient(logq: str, scores: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Of a user whose own item is 0, over all ways to draw two candidates by q."""
    grad, items = torch.zeros(len(q)), range(len(q))
    for drawn in [(a, b) for a in items for b in items]:
        of = torch.tensor([0, *drawn])
        found = scores.clone().requires_grad_()
        InBatchSoftmax.model_validate({"logq": logq, "temperature": 1})(  # type: ignore[no-untyped-call]
            batch(
                found[of].unsqueeze(0),
                own=torch.tensor([0]),
                same_item=(of == 0).unsqueeze(0),
                log_q=q.log()[of],
            )
        ).backward()
        assert found.grad is not None
        grad += q[list(drawn)].prod() * found.grad
    return grad


def test_refined_logq_comes_nearer_to_the_whole_catalogue_than_classic() -> None:
    scores = torch.tensor([0.4, 1.0, -0.3, 0.2])
    q = torch.tensor([0.4, 0.3, 0.2, 0.1])
    whole = scores.softmax(0) - torch.tensor([1.0, 0, 0, 0])
    off = {
        logq: (expected_gradient(logq, scores, q) - whole).norm().item()
        for logq in ("off", "classic", "refined")
    }
    assert off["refined"] < off["classic"]
    assert off["refined"] < off["off"]


def test_a_popular_own_item_is_not_held_to_be_easy_by_refined_logq() -> None:
    frequent, rare = (torch.tensor([q, -2.0, -2.0]) for q in (-0.1, -5.0))
    row = torch.tensor([1.0, 0, 0])
    refined, classic = InBatchSoftmax(logq="refined"), InBatchSoftmax()
    assert refined(batch(log_q=frequent, weight=row)) == refined(batch(log_q=rare, weight=row))
    assert classic(batch(log_q=frequent, weight=row)) > classic(batch(log_q=rare, weight=row))


def test_a_masked_candidate_was_drawn_all_the_same() -> None:
    """An estimate of what is left of the catalogue counts every draw."""
    row = torch.tensor([1.0, 0, 0])
    found = InBatchSoftmax(logq="refined", temperature=1)(
        batch(weight=row, known_positive=cell(0, 1))
    )
    left = math.exp(-0.2) / (2 * math.exp(LOG_Q[2]))
    assert found.item() == pytest.approx(math.log(1 + left / math.exp(0.9)), rel=1e-6)


def test_candidates_without_a_law_stand_for_themselves_in_refined_logq() -> None:
    lawless = batch(log_q=torch.zeros(3))
    assert InBatchSoftmax(logq="refined")(lawless) == InBatchSoftmax(logq="off")(lawless)


@pytest.mark.parametrize("logq", ["off", "classic", "refined"])
def test_nothing_to_be_held_against_is_no_loss(logq: str) -> None:
    loss = InBatchSoftmax.model_validate({"logq": logq})
    scores = torch.tensor(SCORES, requires_grad=True)
    everything = torch.ones(3, 3, dtype=torch.bool)
    for alone in (
        batch(scores, candidate=~everything),
        batch(scores, same_item=everything),  # all rows of one item
        batch(scores[:1, :1]),
    ):
        found = loss(alone)
        found.backward()  # type: ignore[no-untyped-call]
        assert found.item() == 0
        assert scores.grad is not None
        assert not scores.grad.any()
