import pytest
import yaml

from training.document import parse_yaml


def test_scientific_numbers_are_numbers_and_quoted_ones_are_text() -> None:
    read = parse_yaml("{a: 1e-3, b: '1e-3', c: 1.5E+4, d: .5e1, e: 1e3x, f: 12}")
    assert read == {"a": 0.001, "b": "1e-3", "c": 15000.0, "d": 5.0, "e": "1e3x", "f": 12}


def test_only_true_and_false_are_truth_values() -> None:
    read = parse_yaml("{a: off, b: NO, on: yes, c: true, d: False, e: y}")
    assert read == {"a": "off", "b": "NO", "on": "yes", "c": True, "d": False, "e": "y"}


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "x: {b: 1, c: 2, b: 3}", "[{k: 1, k: 1}]"])
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="stands twice"):
        parse_yaml(text)


def test_a_merge_may_be_overridden() -> None:
    read = parse_yaml("{base: &b {x: 1, y: 2}, own: {<<: *b, y: 3}}")
    assert read["own"] == {"x": 1, "y": 3}


def test_no_object_is_built() -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml("!!python/object/apply:os.getcwd []")
