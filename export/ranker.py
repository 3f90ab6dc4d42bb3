"""The ranker of a bundle, ready to run; the same lines in export and in the service."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from export.contract.bundle import BundleLayout
from export.contract.errors import BundleError
from export.contract.features import Input
from export.contract.ranker import Ranker, RankerFacts, Run, without_history
from export.contract.schema import Schema
from export.contract.session import open_member
from export.contract.side import Arrays

CODE, SCORE = "code", "score"
"""The outputs of `ranker_item.onnx` and `ranker.onnx`."""


def open_ranker(layout: BundleLayout, schema: Schema, facts: RankerFacts) -> Ranker:
    """Open the two files of a bundle's ranker.

    Raises:
        BundleError: A file cannot be opened or does not fit the schema.

    """
    return ranker_of(schema, facts, open_member(layout.ranker_item), open_member(layout.ranker))


def ranker_of(
    schema: Schema, facts: RankerFacts, code: ort.InferenceSession, score: ort.InferenceSession
) -> Ranker:
    """Return the ranker that two sessions are.

    Raises:
        BundleError: One does not fit the schema.

    """
    users = without_history(schema, facts.history).user
    _check("ranker_item.onnx", code, schema.item.inputs, CODE, ["batch", facts.width])
    _check("ranker.onnx", score, [*users.inputs, *facts.inputs], SCORE, ["candidates"])
    return Ranker(schema, facts, _run(code, CODE), _run(score, SCORE))


def _run(session: ort.InferenceSession, output: str) -> Run:
    def run(arrays: Arrays) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run([output], arrays)[0]
        return found

    return run


def _check(
    name: str,
    session: ort.InferenceSession,
    inputs: Sequence[Input],
    output: str,
    shape: list[Any],
) -> None:
    got = {one.name: one.shape for one in session.get_inputs()}
    expected = {one.name: list(one.shape) for one in inputs}
    if got != expected:
        raise BundleError(f"{name}: its inputs are {got}, the schema says {expected}")
    outputs = {one.name: one.shape for one in session.get_outputs()}
    if outputs != {output: shape}:
        raise BundleError(f"{name}: its outputs are {outputs}, expected { ({output: shape}) }")
