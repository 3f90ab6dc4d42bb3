"""All that the service reads from the environment, once, when the command starts."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from export.contract.errors import ConfigError
from export.contract.strict import Strict
from service.redis.url import read_url

PREFIX = "FIRSTSIGHT_"

MEMBERS = "expected one of its members, as in {}__K"
"""What is said of a group of settings that was given a value of its own."""

TOKEN_CHARACTERS = 16
TOKEN = re.compile(rf"[!-~]{{{TOKEN_CHARACTERS},}}")
"""What every client can send in a header, and a server reads as it was sent."""

INJECTED = re.compile(r"FIRSTSIGHT_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
"""What Kubernetes sets in every pod for a Service called firstsight."""


class Limits(Strict):
    """What one request may ask for."""

    body_bytes: int = Field(1 << 20, ge=1)
    """Of any body but a batch's; over it 413."""
    batch_body_bytes: int = Field(8 << 20, ge=1)
    """Of the body of a call that takes a batch; over it 413."""
    body_timeout_s: float = Field(10.0, gt=0)
    """Within which a body must have come; over it 408. And a head, or the connection is closed."""
    query_bytes: int = Field(8 << 10, ge=1)
    """Of a query string; over it 422, and POST is the remedy."""
    items: int = Field(1000, ge=1)
    """In one batch."""
    requests: int = Field(256, ge=1)
    """Recalls in one batch."""
    k: int = Field(1000, ge=1)
    """How many items one recall may ask for."""
    exclude: int = Field(10_000, ge=0)
    """Items that one recall may exclude."""
    history: int = Field(1000, ge=0)
    """Items in the `history` of a request."""
    in_flight: int = Field(1024, ge=1)
    """Requests in work at once in one worker, probes apart; over it 503."""


class Settings(Strict):
    """The service's settings; each is `FIRSTSIGHT_<NAME>`, members of `limits` with `__`."""

    bundles: Path = Path("bundles")
    """The folder that holds bundles by version; replicas share it."""
    bundle: Path | None = None
    """The bundle to serve if no version is active yet; `--bundle`."""
    data_folder: Path = Path(".firstsight")
    """Where the embedded Redis keeps its data, and snapshots are."""
    redis: SecretStr | None = None
    """The URL of a Redis of yours; without it the embedded one is started. `--redis`."""
    prefix: str = Field("fs", pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    """In front of every key in Redis."""
    host: str = "127.0.0.1"
    """The address to listen on; `--host`."""
    port: int = Field(8000, ge=0, le=65535)
    """The port to listen on, 0 for any free one; `--port`."""
    admin_token: SecretStr | None = None
    """A key with all scopes, by itself; `keys_file` is for more, and for less."""
    keys_file: Path | None = None
    """The file of API keys, one a line; read again when it changes. With it, or with `admin_token`,
    every call but a probe needs a key."""
    key: SecretStr | None = None
    """The key that commands bring to a service: `items load`, `users load`."""
    audit: bool = False
    """Whether calls that write, steer or ask for `debug` are logged, with who made them."""
    workers: int = Field(1, ge=1, le=256)
    """Serving processes; `--workers`."""
    unnamed_kept_s: float = Field(600.0, ge=0)
    """How long a version that was replaced or is no longer tried stays loaded."""
    memory_bytes: int = Field(0, ge=0)
    """What one bundle may take of the memory; 0: what machine and container have left then."""
    k: int = Field(100, ge=1)
    """How many items a recall gives that does not say."""
    batch_recalls: int = Field(16, ge=1)
    """Recalls embedded and searched at once, at most: fewer where searches are so long that the
    event loop would wait more than 4 ms for them."""
    store_timeout_ms: int = Field(50, ge=1)
    """How long a request waits for Redis."""
    write_ack: Literal["local", "fsync", "replica"] = "local"
    """What a write of an item waits for: Redis' word, its disk (`fsync`), or its replicas."""
    write_replicas: int = Field(1, ge=1)
    """How many replicas must have it, with `write_ack: replica`."""
    erased_kept_days: int = Field(30, ge=0, le=36_500)
    """How long a mark keeps `users load` from bringing an erased user back; 0: no mark."""
    users_kept_days: int = Field(0, ge=0, le=36_500)
    """How long a user's record is kept after it was last written; 0: for ever."""
    snapshots_kept: int = Field(2, ge=0, le=100)
    """How many snapshots are kept of each bundle version; 0: none is written or read."""
    snapshot_entries: int = Field(10_000, ge=1)
    """After how many entries of the item log a snapshot is written."""
    snapshot_s: float = Field(600.0, gt=0)
    """After how long a snapshot is written, if there is an entry since the last one."""
    log_entries: int = Field(1_000_000, ge=1000)
    """About how many entries of the item log are kept at most, whoever needs them."""
    log_kept_s: int = Field(3600, ge=0)
    """How long entries of the item log are kept at least, below that many."""
    reconcile_s: float = Field(300.0, gt=0)
    """How often what is served is compared with what is stored."""
    monitor_share: float = Field(0.001, ge=0, le=1)
    """The share of recalls whose search is repeated exactly, for the gauge of recall; 0: none."""
    monitor_per_s: float = Field(1.0, gt=0, le=1000)
    """How many searches a worker repeats in a second at most."""
    after_wait_ms: int = Field(250, ge=0)
    """How long a recall with `after` waits for that log entry."""
    catch_up_s: float = Field(60.0, ge=0)
    """How long a worker reads the item log before it serves although it is behind."""
    linger_s: float = Field(5.0, ge=0)
    """How long a draining worker waits for idle connections to speak once more."""
    grace_s: float = Field(30.0, gt=0)
    """When a draining worker is killed."""
    readiness_off_s: float = Field(0.0, ge=0)
    """How long `/readyz` says `draining` before the service stops, so that gateways see it."""
    load_timeout_s: float = Field(900.0, gt=0)
    """When a bundle that is still loading is given up."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least level that is logged."""
    traces_url: str | None = Field(None, pattern=r"^https?://[^\s/]+\S*$")
    """Where traces are posted to as OTLP, with its path; without it none is recorded."""
    traces_share: float = Field(0.01, ge=0, le=1)
    """The share of requests that are recorded, of those whose caller says nothing."""
    limits: Limits = Limits()
    """See `Limits`."""

    @field_validator("admin_token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        text = None if token is None else token.get_secret_value()
        if text is not None and not TOKEN.fullmatch(text):
            strange = "a blank, a control character or one outside of ASCII"
            got = strange if len(text) >= TOKEN_CHARACTERS else f"{len(text)} characters"
            right = f"at least {TOKEN_CHARACTERS} visible characters of ASCII without blanks"
            raise ValueError(f"got {got}, expected {right}")
        return token

    @field_validator("redis")
    @classmethod
    def _is_a_redis_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            read_url(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _replicas_are_waited_for(self) -> "Settings":
        if self.write_replicas != 1 and self.write_ack != "replica":
            count = f"write_replicas is {self.write_replicas}"
            raise ValueError(f"{count}, which needs write_ack to be replica, not {self.write_ack}")
        return self

    @model_validator(mode="after")
    def _grace_outlasts_the_linger(self) -> "Settings":
        if self.linger_s >= self.grace_s:  # a worker would be killed while it waits
            linger = f"linger_s is {self.linger_s:g}"
            raise ValueError(f"{linger}, expected less than grace_s, which is {self.grace_s:g}")
        return self

    @model_validator(mode="after")
    def _default_k_is_allowed(self) -> "Settings":
        if self.k > self.limits.k:
            raise ValueError(f"k is {self.k}, over limits.k, which is {self.limits.k}")
        return self


def read_settings(environ: Mapping[str, str] | None = None, **chosen: object) -> Settings:
    """Read the settings; `chosen` (what the command line gave) wins, None means not given.

    Raises:
        ConfigError: An unknown name with our prefix, or a value that cannot be used.

    """
    values: dict[str, Any] = {}
    for name, text in (os.environ if environ is None else environ).items():
        if name.startswith(PREFIX) and not _is_injected(name, text):
            _place(values, name, text)
    values |= {name: value for name, value in chosen.items() if value is not None}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(fault) for fault in error.errors())) from error


def injected_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names that Kubernetes injected for a Service called firstsight."""
    ours = {name: text for name, text in environ.items() if name.startswith(PREFIX)}
    return sorted(name for name, text in ours.items() if _is_injected(name, text))


def _explain(fault: Mapping[str, Any]) -> str:
    """Say it in the words of the environment; the value stays out, for it may be a secret."""
    name = PREFIX + "__".join(str(part) for part in fault["loc"]).upper()
    if fault["type"] == "extra_forbidden":
        return f"{name}: there is no such setting"
    if fault["type"] == "model_type":
        return f"{name}: {MEMBERS.format(name)}"
    return f"{name if fault['loc'] else 'settings'}: {fault['msg'].removeprefix('Value error, ')}"


def _is_injected(name: str, text: str) -> bool:
    if name == f"{PREFIX}PORT":
        return text.startswith("tcp://")
    return INJECTED.fullmatch(name) is not None


def _place(values: dict[str, Any], name: str, text: str) -> None:
    """Put `FIRSTSIGHT_LIMITS__K` at values["limits"]["k"]."""
    *groups, leaf = name.removeprefix(PREFIX).lower().split("__")
    for group in groups:
        values = values.setdefault(group, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{name}: {group} is a single value and has no members")
    if isinstance(values.get(leaf), dict):
        raise ConfigError(f"{name}: {MEMBERS.format(name)}")
    values[leaf] = text
