"""The rankers of a run: selected, trained again where the towers are, and written."""

from collections.abc import Callable, Mapping
from typing import Any

from export.contract.run import RankerLayout, RunLayout
from training.prepare import Prepared, make_encoders
from training.ranker.check import history_of
from training.ranker.options import RankerOptions
from training.ranker.program import write_ranker
from training.ranker.train import baseline_of, learned_rows, refit_ranker, select_ranker
from training.ranker.validate import validated

OnNote = Callable[[str], None]
OnStep = Callable[[int, int, float], None]


def check_rows(prepared: Prepared) -> None:
    """Check that a ranker that is asked for can be trained and validated, before towers are.

    Raises:
        ConfigError: The data has nothing for a ranker to learn from or to be validated on.
    """
    if prepared.config.ranker is not None:
        learned_rows(prepared)
        validated(prepared)


def train_rankers(
    layout: RunLayout, selecting: Prepared, final: Prepared, on_note: OnNote, on_step: OnStep
) -> Mapping[str, Any]:
    """Train the ranker that a configuration asks for, and its baseline, and write them.

    A resumed run does this from its start.

    Args:
        layout: The run.
        selecting: What is selected on, with validation's rows held back.
        final: What the run is written from.
        on_note: Told facts in words.
        on_step: Told each step, of how many, and its loss.

    Returns:
        What the run's metrics say of it: by `ranker` and `ranker_baseline`, every epoch's figures.

    Raises:
        ConfigError: The data has nothing for a ranker to learn from or to be validated on.
        NotFinite: A loss became NaN or infinite.
    """
    config = final.config.ranker
    if config is None:
        return {}
    found = {"ranker": _train(layout.ranker, config, selecting, final, on_note, on_step)}
    if (baseline := baseline_of(config)) is not None:
        found["ranker_baseline"] = _train(
            layout.ranker_baseline, baseline, selecting, final, on_note, on_step
        )
    return found


def _train(
    layout: RankerLayout,
    config: RankerOptions,
    selecting: Prepared,
    final: Prepared,
    on_note: OnNote,
    on_step: OnStep,
) -> Mapping[str, Any]:
    rows = int(selecting.log.is_train.sum())
    steps = -(-rows // config.batch) * config.epochs
    ranker, progress = select_ranker(
        config, selecting, lambda number, loss: on_step(number, steps, loss)
    )
    best = f"best epoch {progress.best_epoch}: GAUC {progress.best:.4f}"
    on_note(f"ranker {config.kind}: {best} (validation)")
    if final.config.training.refit:
        ranker = refit_ranker(
            config, final, progress.best_epoch, lambda number, loss: on_step(number, steps, loss)
        )
    history = history_of(config, final.config.user)
    entities = {side: one.entities() for side, one in make_encoders(final).items()}
    write_ranker(layout, ranker, config, final.schema, history, entities)
    return {
        "kind": config.kind,
        "selected_epoch": progress.best_epoch,
        "selected": progress.best,
        "epochs": progress.history,
    }
