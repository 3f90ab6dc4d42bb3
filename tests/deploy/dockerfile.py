"""The Dockerfile as its stages, and what an engine would do for one, done without an engine."""

import io
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """One stage: the instructions that follow its FROM, each as name and value."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def values(self, instruction: str) -> list[str]:
        """Return the values of all instructions of a name, in order."""
        return [value for name, value in self.steps if name == instruction]


class Dockerfile:
    """The stages of the Dockerfile, by name."""

    def __init__(self, text: str) -> None:
        self.stages: dict[str, Stage] = {}
        self.arguments: dict[str, str] = {}
        for step in DockerfileParser(fileobj=io.BytesIO(text.encode())).structure:
            name, value = step["instruction"], step["value"]
            if name == "FROM":
                base, _, alias = value.partition(" AS ")
                self.stages[alias] = Stage(alias, base)
            elif self.stages and name != "COMMENT":
                [*self.stages.values()][-1].steps.append((name, value))
            elif name == "ARG":
                argument, _, default = value.partition("=")
                self.arguments[argument] = default

    @classmethod
    def ours(cls) -> "Dockerfile":
        """Return the one of this repository."""
        return cls((ROOT / "Dockerfile").read_text("utf-8"))

    def chain(self, stage: str) -> list[Stage]:
        """Return a stage after all that it is based on."""
        one = self.stages[stage]
        return [*(self.chain(one.base) if one.base in self.stages else []), one]

    def steps(self, stage: str) -> list[tuple[str, str]]:
        """Return all instructions that make a stage."""
        return [step for one in self.chain(stage) for step in one.steps]

    def last(self, stage: str, instruction: str) -> str:
        """Return the value that holds in the end."""
        return [value for name, value in self.steps(stage) if name == instruction][-1]

    def environment(self, stage: str, **given: str) -> dict[str, str]:
        """Return what ENV sets, over what is given; ARG is taken at its default."""
        found = self.arguments | given
        told: dict[str, str] = {}
        for name, value in self.steps(stage):
            if name == "ENV":
                for word in shlex.split(value):
                    key, _, text = word.partition("=")
                    told[key] = found[key] = Template(text).substitute(found)
        return told

    def command(self, stage: str) -> list[str]:
        """Return what a container starts."""
        words = (json.loads(self.last(stage, one)) for one in ("ENTRYPOINT", "CMD"))
        return [str(word) for part in words for word in part]

    def health_check(self, stage: str) -> list[str]:
        """Return the command that tells whether a container is well."""
        _, _, words = self.last(stage, "HEALTHCHECK").partition(" CMD ")
        return [str(word) for word in json.loads(words)]
