from dataclasses import replace

import numpy as np
import pytest

from export.contract.errors import ConfigError
from tests.training.tables import make_data
from training.interactions import Interactions
from training.sessions import session_codes

ALL = np.arange(5)


def rows(**columns: list[object]) -> Interactions:
    found = make_data([3, 1, 3, 2, 1], [0, 1, 2, 3, 4]).interactions
    return replace(found, columns={n: np.array(c, dtype=object) for n, c in columns.items()})


def test_equal_values_share_a_session() -> None:
    found = session_codes("visit", rows(visit=["b", "a", "b", "c", "a"]), ALL)
    assert found.tolist() == [0, 1, 0, 2, 1]
    assert session_codes("user_id", rows(), ALL).tolist() == [0, 1, 0, 2, 1]


def test_only_chosen_rows_are_numbered() -> None:
    assert session_codes("user_id", rows(), np.array([4, 1, 0])).tolist() == [0, 0, 1]


def test_a_row_without_a_session_is_one_of_its_own() -> None:
    found = session_codes("visit", rows(visit=[None, "a", None, float("nan"), "a"]), ALL)
    assert found.tolist() == [0, 1, 2, 3, 1]


def test_lists_can_name_a_session() -> None:
    assert session_codes("v", rows(v=[["a"], ["b"], ["a"], ["b", "a"], ["b"]]), ALL).max() == 2


def test_a_column_that_is_not_there_is_named_beside_those_there_are() -> None:
    with pytest.raises(ConfigError, match="session 'visit': the interactions have user_id, "):
        session_codes("visit", rows(tab=["1"] * 5), ALL)
