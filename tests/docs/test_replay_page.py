"""The page on replay shows what there is: every member of `debug`, in an example that is one."""

import json
import re
from pathlib import Path

from service.http.examples import RECALL_EXPLAINED
from service.replay.debug import Debug

PAGE = (Path(__file__).parents[2] / "docs" / "replay.md").read_text("utf-8")


def test_the_example_is_that_of_the_service_and_is_whole() -> None:
    [shown] = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(shown) == RECALL_EXPLAINED["debug"]
    assert Debug.model_validate_json(shown).model_dump() == json.loads(shown)


def test_every_member_has_its_line() -> None:
    table = "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", table)) == Debug.model_fields.keys()
