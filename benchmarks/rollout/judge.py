"""Holds answers against the bundle of the version that they name: every score made again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rollout.notes import Noted, Notes, superseded_at
from benchmarks.rollout.records import has_preference, record
from export.contract.bundle import BundleLayout
from export.contract.schema import read_schema
from export.contract.side import SideName
from export.embedder import Embedder, Vectors

TOLERANCE = 1e-4
SLACK_S = 5.0
"""How long a replica may serve what it has not yet heard of being changed by another one."""
AT_ONCE = 200
SHOWN = 10


class Towers:
    """The towers of one bundle, and the vectors they have given."""

    def __init__(self, folder: Path) -> None:
        layout = BundleLayout(folder)
        schema = read_schema(layout.schema)
        self._side = schema.item
        self._clusters = len(schema.tables["cluster"])
        self._embedder = Embedder.open(layout, schema)
        self._known: dict[tuple[SideName, str, int], Vectors] = {}

    def learn(self, side: SideName, wanted: Sequence[tuple[str, int]]) -> None:
        """Compute the vectors of these ids and editions, where they are not known."""
        new = [one for one in dict.fromkeys(wanted) if (side, *one) not in self._known]
        records = [self._side.parse(record(one, of, self._clusters)) for one, of in new]
        vectors = self._embedder.embed(side, records)
        self._known |= {(side, *one): row for one, row in zip(new, vectors, strict=True)}

    def score(self, user: str, item: str, edition: int) -> float:
        """Return the score of an edition of an item for a user; both were learned."""
        both = self._known["user", user, 0], self._known["item", item, edition]
        return float(np.dot(*both))


@dataclass
class Verdict:
    """What was held against the bundles, and what was found.

    contradictions: by sort, and some of them in words.
    late: answers with a state of an item that had been superseded, but not for longer than SLACK_S;
        longest_late_s says for how long at most.
    """

    answers: int = 0
    scores: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)
    late: int = 0
    longest_late_s: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Return what JSON can hold; of the versions only how many answered."""
        counters = {"degraded": dict(self.degraded), "contradictions": dict(self.contradictions)}
        return vars(self) | counters | {"versions": len(self.versions)}

    def contradict(self, sort: str, told: str) -> None:
        """Take note of a contradiction."""
        self.contradictions[sort] += 1
        if len(self.shown) < SHOWN:
            self.shown.append(f"{sort}: {told}")


class Judge:
    """Judges notes; `bases` names the folder of the towers behind each version."""

    def __init__(self, notes: Notes, bases: Mapping[str, Path], k: int) -> None:
        self._notes = notes
        self._bases = bases
        self._k = k
        self._towers = {folder: Towers(folder) for folder in set(bases.values())}
        self.verdict = Verdict()

    def run(self) -> Verdict:
        """Judge all answers that were noted whole; of the others only the version they name."""
        verdict, whole = self.verdict, []
        for noted in self._notes.recalls:
            if noted["status"] != 200:
                continue
            verdict.versions[noted["version"]] += 1
            if noted["version"] not in self._bases:
                verdict.contradict("unknown version", noted["version"])
            elif "answer" in noted:
                whole.append(noted)
        for start in range(0, len(whole), AT_ONCE):
            part = whole[start : start + AT_ONCE]
            self._learn(part)
            for noted in part:
                self._judge(noted)
        return verdict

    def _learn(self, whole: Sequence[Noted]) -> None:
        for folder, towers in self._towers.items():
            of = [noted for noted in whole if self._bases[noted["version"]] == folder]
            towers.learn("user", [(noted["user"], 0) for noted in of])
            items = dict.fromkeys(one for noted in of for one in noted["answer"]["items"])
            states = [(one, w.edition) for one in items for w in self._notes.history(one)]
            towers.learn("item", [(one, of) for one, of in states if of is not None])

    def _judge(self, noted: Noted) -> None:
        answer, verdict = noted["answer"], self.verdict
        verdict.degraded.update(answer["degraded"])
        if "store" in answer["degraded"]:
            return  # the user was not read, so nothing is told of whom it is for
        verdict.answers += 1
        user, items, scores = noted["user"], answer["items"], answer["scores"]
        expected = "warm" if has_preference(user) else "cold"
        if answer["state"] != expected:
            verdict.contradict("state", f"{user} is {expected}, answered as {answer['state']}")
        if len(items) != self._k or len(set(items)) != self._k:
            verdict.contradict("count", f"{len(set(items))} items of {self._k} for {user}")
        if sorted(scores, reverse=True) != scores:
            verdict.contradict("order", f"scores for {user} do not fall")
        for one, score in zip(items, scores, strict=True):
            self._judge_score(noted, one, score)

    def _judge_score(self, noted: Noted, one: str, score: float) -> None:
        """Find the state of the item that gives this score, and ask if it could be served then."""
        self.verdict.scores += 1
        towers = self._towers[self._bases[noted["version"]]]
        after = None if "stale" in noted["answer"]["degraded"] else noted["after"]
        history = self._notes.history(one)
        late_s, is_found = float("inf"), False
        for at, state in enumerate(history):
            if state.edition is None or state.sent > noted["came"]:
                continue
            if abs(towers.score(noted["user"], one, state.edition) - score) > TOLERANCE:
                continue
            is_found = True
            late_s = min(late_s, noted["sent"] - superseded_at(history, at, after))
        if not is_found:
            told = f"{one} has {score} for {noted['user']} in {noted['version']}"
            self.verdict.contradict("score" if history else "unknown item", told)
        elif late_s > SLACK_S:
            told = f"{one} in {noted['version']}, {late_s:.1f} s after it was changed or removed"
            self.verdict.contradict("superseded", told)
        elif late_s > 0:
            self.verdict.late += 1
            self.verdict.longest_late_s = max(self.verdict.longest_late_s, late_s)
