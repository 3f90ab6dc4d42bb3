"""A case: one protocol with one choice of content, and where its files lie in the work folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.protocols.base import Protocol
from training.config import TrainConfig, parse_config, read_config
from training.parts import TEST

CONFIGS = Path(__file__).parent / "configs"
KEPT = Path(__file__).parent / "kept"
OF_TEST = ("candidates", "mask", "users")


@dataclass(frozen=True)
class Case:
    """Where each step of a protocol reads and writes.

    `train` and `test` are data folders, those of the protocol's contents alike. `train` holds
    the train rows and nothing that tests, so whoever is given it alone can look at no test row.
    """

    work: Path
    protocol: Protocol
    content: str

    @property
    def name(self) -> str:
        """The protocol's name and, if it has several contents, which one."""
        several = len(self.protocol.contents) > 1
        return f"{self.protocol.name}.{self.content}" if several else self.protocol.name

    @property
    def train(self) -> Path:
        """The data folder that is selected on."""
        return self.work / self.protocol.name / "train"

    @property
    def test(self) -> Path:
        """The data folder that the final figures come from."""
        return self.work / self.protocol.name / "test"

    @property
    def searches(self) -> Path:
        """The folder of the searches, one folder each."""
        return self.work / self.protocol.name / self.content / "select"

    @property
    def model_searches(self) -> Path:
        """The folder of the searches of presets, which may be another protocol's."""
        protocol = self.protocol.selected_on or self.protocol.name
        return self.work / protocol / self.content / "select"

    @property
    def finals(self) -> Path:
        """The folder of the final figures."""
        return self.work / self.protocol.name / self.content / "final"

    @property
    def runs(self) -> Path:
        """The folder of the trained runs."""
        return self.work / self.protocol.name / self.content / "runs"

    @property
    def kept(self) -> Path:
        """The folder of what is kept of earlier runs, on whatever machine, beside this code."""
        return KEPT / self.protocol.name / self.content

    def config(
        self, part: int, preset: str | None = None, overrides: tuple[str, ...] = ()
    ) -> TrainConfig:
        """Return our configuration, or a preset on its features, for validation or for test."""
        path = CONFIGS / f"{self.protocol.contents[self.content].config}.yaml"
        return read_config(path, [*self._place(part), *overrides], preset)

    def rows(self, part: int) -> TrainConfig | None:
        """Return the configuration of a rival that scores rows, if the protocol has one."""
        name = self.protocol.contents[self.content].rows
        path = CONFIGS / f"{name}.yaml"
        return None if name is None else read_config(path, list(self._place(part)))

    def tested(self, config: TrainConfig) -> TrainConfig:
        """Return a configuration that was selected, on the data and split of the test."""
        raw = config.model_dump(mode="json", exclude_none=True)
        raw |= {"split": self._split(TEST)}
        raw["data"] |= {"folder": str(self.test.resolve())}
        return parse_config(raw, Path("tested.yaml"))

    def _place(self, part: int) -> tuple[str, ...]:
        folder = self.test if part == TEST else self.train
        return (
            f"data.folder={json.dumps(str(folder.resolve()))}",
            f"split={json.dumps(self._split(part))}",
        )

    def _split(self, part: int) -> dict[str, Any]:
        split = {"kind": "given", "column": "split", **self.protocol.split}
        return {key: one for key, one in split.items() if part == TEST or key not in OF_TEST}
