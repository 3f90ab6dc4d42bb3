"""The checkpoint: what a run needs to continue to the same numbers."""

import os
from pathlib import Path

import torch
import yaml

from export.contract.errors import ConfigError
from export.contract.run import RunLayout
from training.config import TrainConfig
from training.loop import Progress, optimiser
from training.model import TwoTower


def resolved(config: TrainConfig, folder: Path) -> str:
    """Return the configuration as a YAML that lies in `folder`, every default written out.

    Like in any other, the data folder is relative to it: run and data may move together, and
    who reads the YAML does not learn where on a machine they lay.
    """
    raw = config.model_dump(mode="json", exclude_none=True)
    raw["data"]["folder"] = os.path.relpath(config.data.folder, folder.resolve())
    return yaml.safe_dump(raw, sort_keys=False)


def save_checkpoint(
    layout: RunLayout,
    digest: str,
    model: TwoTower,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
) -> None:
    """Write what a resumption needs; a crash leaves the old file or the new one."""
    part = layout.checkpoint.with_suffix(".part")
    torch.save(
        {
            "data_digest": digest,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "progress": vars(progress),
        },
        part,
    )
    part.replace(layout.checkpoint)


def load_checkpoint(
    layout: RunLayout, digest: str, config: TrainConfig, model: TwoTower, origin: str = ""
) -> tuple[Progress, torch.optim.Optimizer]:
    """Continue where a run stopped; without a checkpoint, at the beginning.

    Args:
        layout: The run.
        digest: That of the data.
        config: The run's configuration.
        model: Is given the weights of the checkpoint.
        origin: The line that says what the run grows from; nothing if it grows from none.

    Raises:
        ConfigError: The run was made with another configuration, from another run, or on other
            data.
    """
    written = layout.config.read_text(encoding="utf-8")
    began = written[: written.index("\n") + 1] if written.startswith("#") else ""
    if began != origin:
        raise ConfigError(
            f"{layout.config}: --resume needs the --from the run began with: "
            f"{began.removeprefix('# ').strip() or 'it began from none'}"
        )
    if written != origin + resolved(config, layout.folder):
        raise ConfigError(f"{layout.config}: --resume needs the configuration the run began with")
    optimizer = optimiser(config, model)
    if not layout.checkpoint.exists():
        return Progress(), optimizer
    state = torch.load(layout.checkpoint, weights_only=False)
    if state.get("data_digest") != digest:
        raise ConfigError(
            f"{layout.folder}: --resume needs the data the run began with; that at "
            f"{config.data.folder} is other data (another digest); use another --out"
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"]), optimizer
