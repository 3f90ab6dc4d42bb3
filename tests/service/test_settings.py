import pickle
from pathlib import Path

import pytest

from export.contract.errors import ConfigError
from service.settings import Limits, Settings, injected_names, read_settings

DOC = Path(__file__).parents[2] / "docs" / "settings.md"


def names(model: type[Settings] | type[Limits], prefix: str = "FIRSTSIGHT_") -> list[str]:
    return [f"{prefix}{name.upper()}" for name in model.model_fields if name != "limits"]


def test_nothing_has_to_be_set() -> None:
    settings = read_settings({"PATH": "/bin"})
    assert settings == Settings()
    assert settings.redis is None


def test_names_become_members_and_text_becomes_values() -> None:
    settings = read_settings(
        {
            "FIRSTSIGHT_PORT": "9000",
            "FIRSTSIGHT_BUNDLES": "/srv/bundles",
            "FIRSTSIGHT_LIMITS__K": "500",
            "FIRSTSIGHT_LIMITS__BODY_BYTES": "2048",
        }
    )
    assert (settings.port, settings.bundles) == (9000, Path("/srv/bundles"))
    assert (settings.limits.k, settings.limits.body_bytes) == (500, 2048)


def test_the_command_line_wins_over_the_environment() -> None:
    assert read_settings({"FIRSTSIGHT_PORT": "9000"}, port=1, host=None).port == 1


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"FIRSTSIGHT_PROT": "8000"}, "FIRSTSIGHT_PROT: there is no such setting"),
        ({"FIRSTSIGHT_LIMITS__KK": "5"}, "FIRSTSIGHT_LIMITS__KK: there is no such setting"),
        ({"FIRSTSIGHT_PORT": "http"}, "FIRSTSIGHT_PORT: "),
        ({"FIRSTSIGHT_PORT": "70000"}, "FIRSTSIGHT_PORT: "),
        ({"FIRSTSIGHT_WORKERS": "0"}, "FIRSTSIGHT_WORKERS: "),
        ({"FIRSTSIGHT_LIMITS": "5"}, "FIRSTSIGHT_LIMITS: expected one of its members, as in FIR"),
        ({"FIRSTSIGHT_PORT__X": "5"}, "FIRSTSIGHT_PORT: "),
        ({"FIRSTSIGHT_LIMITS__K": "5", "FIRSTSIGHT_LIMITS": "7"}, "FIRSTSIGHT_LIMITS: "),
        ({"FIRSTSIGHT_PORT": "5", "FIRSTSIGHT_PORT__X": "5"}, "FIRSTSIGHT_PORT__X: "),
        ({"FIRSTSIGHT_K": "2000"}, "k is 2000, over limits.k"),
        ({"FIRSTSIGHT_GRACE_S": "5"}, "linger_s is 5, expected less than grace_s, which is 5"),
        ({"FIRSTSIGHT_PREFIX": "a:b"}, "FIRSTSIGHT_PREFIX: "),
        ({"FIRSTSIGHT_REDIS": "localhost:6379"}, "FIRSTSIGHT_REDIS: expected a URL"),
    ],
)
def test_what_cannot_be_used_stops_the_start_by_its_name(
    environ: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(environ)
    assert named in str(caught.value)


def test_a_secret_stays_out_of_messages_and_reprs() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"FIRSTSIGHT_REDIS": "rediss:/:hunter2@host"})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(read_settings({"FIRSTSIGHT_REDIS": "redis://:hunter2@host"}))


def test_what_kubernetes_injects_is_ignored() -> None:
    environ = {
        "FIRSTSIGHT_SERVICE_HOST": "10.0.0.7",
        "FIRSTSIGHT_SERVICE_PORT_HTTP": "80",
        "FIRSTSIGHT_PORT": "tcp://10.0.0.7:80",
        "FIRSTSIGHT_PORT_80_TCP_PROTO": "tcp",
        "FIRSTSIGHT_WORKERS": "2",
    }
    assert read_settings(environ) == Settings(workers=2)
    assert injected_names(environ) == sorted(environ.keys() - {"FIRSTSIGHT_WORKERS"})


def test_settings_do_not_change_and_travel_to_a_worker() -> None:
    settings = read_settings({"FIRSTSIGHT_REDIS": "redis://:secret@host"})
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_setting_is_documented() -> None:
    text = DOC.read_text()
    wanted = names(Settings) + names(Limits, "FIRSTSIGHT_LIMITS__")
    assert [name for name in wanted if f"`{name}`" not in text] == []
