"""The run folder: what training leaves for evaluation and export."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunLayout:
    """Where the members of a run lie."""

    folder: Path

    @property
    def config(self) -> Path:
        """What was asked, resolved: every default written out."""
        return self.folder / "config.yaml"

    @property
    def schema(self) -> Path:
        """What was learned about raw values."""
        return self.folder / "schema.json"

    def encoder(self, side: str) -> Path:
        """Return the encoder graph of one side (ONNX)."""
        return self.folder / f"encoder_{side}.onnx"

    def tower(self, side: str) -> Path:
        """Return the tower program of one side (`torch.export`)."""
        return self.folder / f"{side}_tower.pt2"

    @property
    def items(self) -> Path:
        """Item records with preference as of the end of training, popularity, first seen."""
        return self.folder / "items.parquet"

    @property
    def users(self) -> Path:
        """User records with preference as of the end of training."""
        return self.folder / "users.parquet"

    @property
    def concepts(self) -> Path:
        """Statistics of parent concepts at the end of training; only where a feature has `by`."""
        return self.folder / "concepts.parquet"

    def item_vectors(self, feature: str) -> Path:
        """Return the given vectors behind a user's feature: float32[items, size], as `items`."""
        return self.folder / "item_vectors" / f"{feature}.npy"

    @property
    def ranker(self) -> "RankerLayout":
        """The ranker; only where the configuration asks for one."""
        return RankerLayout(self.folder / "ranker")

    @property
    def ranker_baseline(self) -> "RankerLayout":
        """The ranker of kind `base` that is measured beside it."""
        return RankerLayout(self.folder / "ranker_baseline")

    @property
    def weights(self) -> Path:
        """The selected weights."""
        return self.folder / "weights.pt"

    @property
    def checkpoint(self) -> Path:
        """Everything `--resume` needs."""
        return self.folder / "checkpoint.pt"

    @property
    def metrics(self) -> Path:
        """Validation and test metrics, and what was dropped and counted."""
        return self.folder / "metrics.json"

    @property
    def log(self) -> Path:
        """TensorBoard scalars."""
        return self.folder / "tensorboard"


@dataclass(frozen=True)
class RankerLayout:
    """Where the members of a ranker lie in a run."""

    folder: Path

    @property
    def facts(self) -> Path:
        """What it is: its kind, its history, and the lengths of its vectors."""
        return self.folder / "ranker.json"

    @property
    def code(self) -> Path:
        """The program that makes a code of an item (`torch.export`)."""
        return self.folder / "item.pt2"

    @property
    def score(self) -> Path:
        """The program that scores candidates for users (`torch.export`)."""
        return self.folder / "score.pt2"

    @property
    def weights(self) -> Path:
        """The selected weights."""
        return self.folder / "weights.pt"
