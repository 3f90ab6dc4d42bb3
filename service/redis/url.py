"""What the URL of a Redis says: where to ask, for what, and with which rights."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

Kind = Literal["one", "cluster", "sentinel"]
Address = tuple[str, int]

SCHEMES: Final[dict[str, Kind]] = {
    "redis": "one",
    "rediss": "one",
    "unix": "one",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
}

PORT: Final = 6379
SENTINEL_PORT: Final = 26379

FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
REQUIRED: Final = ("required", "optional", "none")
"""What `ssl_cert_reqs` may be."""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A Redis as its URL tells it.

    hosts: the server itself; of a cluster some nodes; or the Sentinels. None for a unix socket.
    path: of the unix socket. service: the name under which the Sentinels watch it.
    options: what a connection to it takes; asking: what one to a Sentinel takes. They hold the
    passwords, so they are in no representation.
    """

    kind: Kind
    is_tls: bool
    hosts: tuple[Address, ...] = ()
    path: str | None = None
    service: str | None = None
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    asking: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        """Say where it is, without names and passwords."""
        if self.path is not None:
            return self.path
        hosts = ",".join(name_of(host) for host in self.hosts)
        return hosts if self.service is None else f"{self.service} of {hosts}"


def name_of(address: Address) -> str:
    """Return `host:port`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_url(text: str) -> RedisUrl:
    """Read the URL of a Redis.

    Raises:
        ValueError: It is none; the message says what is wrong and holds nothing secret.

    """
    scheme, mark, _ = text.partition("://")
    if not mark or scheme not in SCHEMES:
        schemes = ", ".join(f"{one}://" for one in SCHEMES)
        raise ValueError(f"expected a URL that begins with one of {schemes}")
    _refuse_control(text)
    try:
        parts = urlsplit(text)
    except ValueError:
        _refuse_host()
    if parts.fragment or text.endswith("#"):
        raise ValueError("got a `#`: expected %23 for one in a password or a path")
    if "@" in parts.query or ("@" in parts.path and scheme != "unix"):
        _refuse_host()
    kind, is_tls = SCHEMES[scheme], scheme.startswith("rediss")
    asked = _read_query(parts.query)
    asking = {name[9:]: asked.pop(name) for name in list(asked) if name.startswith("sentinel_")}
    options = _read_options(asked, is_tls) | _read_rights(parts.netloc)
    if asking and kind != "sentinel":
        raise ValueError("sentinel_username and sentinel_password are for redis+sentinel://")
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    url = RedisUrl(kind, is_tls, options=options, asking=asking | tls)
    if scheme == "unix":
        return _at_path(url, parts)
    return _at_hosts(url, parts)


def _refuse_control(text: str) -> None:
    """Refuse what `urlsplit` drops without a word, as the end of a line from a file of secrets."""
    for one in text:
        if one < " " or one == "\x7f":
            raise ValueError(
                f"got a control character (U+{ord(one):04X}): leave it out, or write "
                f"%{ord(one):02X} for one in a password"
            )


def _at_path(url: RedisUrl, parts: SplitResult) -> RedisUrl:
    if parts.netloc.rpartition("@")[2] or len(parts.path) < 2:
        raise ValueError("expected unix:///PATH of a socket")
    return RedisUrl("one", False, (), unquote(parts.path), None, url.options)


def _at_hosts(url: RedisUrl, parts: SplitResult) -> RedisUrl:
    default = SENTINEL_PORT if url.kind == "sentinel" else PORT
    named = parts.netloc.rpartition("@")[2].split(",")
    if url.kind == "one" and named == [""]:
        named = ["localhost"]
    if url.kind == "one" and len(named) > 1:
        raise ValueError(
            "got several hosts: expected one, or redis+cluster:// or redis+sentinel://"
        )
    hosts = tuple(_read_host(one, default) for one in named)
    rest = unquote(parts.path.removeprefix("/"))
    if url.kind == "sentinel":
        if not rest or "/" in rest:
            raise ValueError("expected redis+sentinel://HOST:PORT[,HOST:PORT...]/SERVICE")
        return RedisUrl(url.kind, url.is_tls, hosts, None, rest, url.options, url.asking)
    options = url.options
    if rest:
        options = {"db": _read_number("the database", rest, 1 << 31)} | options
    if url.kind == "cluster" and options.get("db"):
        raise ValueError("a cluster has no databases: leave the number out")
    return RedisUrl(url.kind, url.is_tls, hosts, None, None, options)


def _read_host(text: str, default: int) -> Address:
    if text.startswith("["):
        host, end, port = text[1:].partition("]")
        if not end or (port and not port.startswith(":")):
            _refuse_host()
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host or "[" in host:
        _refuse_host()
    if not port:
        return unquote(host), default
    return unquote(host), _read_number("the port", port, 65536)


def _refuse_host() -> NoReturn:
    # What stands there may be half a password.
    hint = "with / ? # [ ] @ % and & of a password percent-encoded"
    raise ValueError(f"expected HOST:PORT behind the // and a user's `name:password@`, {hint}")


def _read_number(what: str, text: str, below: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < below):
        hint = "; percent-encode / ? # [ ] @ % and & of a password" if what == "the port" else ""
        raise ValueError(f"{what} is no number from 0 to {below - 1}{hint}")
    return int(text)


def _read_rights(netloc: str) -> dict[str, Any]:
    """Return name and password of the ACL user; a name alone is one without a password."""
    rights, at, _ = netloc.rpartition("@")
    if not at:
        return {}
    name, colon, password = rights.partition(":")
    told = {"username": unquote(name)} if name else {}
    return told | ({"password": unquote(password)} if colon else {})


def _read_query(query: str) -> dict[str, str]:
    told: dict[str, str] = {}
    if query and "" in query.split("&"):  # which `parse_qsl` would leave out
        raise ValueError("got an `&` with nothing on one side: expected %26 for one in a password")
    # A plus is one: what stands here is no form, and passwords have them.
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True):
        if name in told:
            raise ValueError(f"{name} is given twice")
        told[name] = value
    return told


def _read_options(asked: dict[str, str], is_tls: bool) -> dict[str, Any]:
    """Read what may stand behind the `?`. Timeouts and retries may not: they are the service's."""
    told: dict[str, Any] = {}
    for name, value in asked.items():
        if name.startswith("ssl_") and not is_tls:
            raise ValueError(f"{name} is for rediss://, which is the one with TLS")
        if name in FILES or name in ("username", "password", "ssl_password"):
            told[name] = value
        elif name == "db":
            told[name] = _read_number(name, value, 1 << 31)
        elif name == "ssl_cert_reqs":
            if value not in REQUIRED:
                raise ValueError(f"{name}: expected one of {', '.join(REQUIRED)}")
            told[name] = value
        elif name == "ssl_check_hostname":
            if value not in ("true", "false"):
                raise ValueError(f"{name}: expected true or false")
            told[name] = value == "true"
        else:
            known = ", ".join(["db", "username", "password", *FILES])
            known += ", ssl_password, ssl_cert_reqs, ssl_check_hostname"
            known += ", sentinel_username, sentinel_password"
            # It is not told, for it may be the rest of a password with a `&` in it.
            raise ValueError(f"there is another option: expected only those of {known}")
    return told


def missing_file(url: RedisUrl) -> str | None:
    """Say which of its files, of certificates and keys, is not there; None if they are."""
    for name in FILES:
        path = url.options.get(name)
        if path is not None and not Path(path).is_file():
            return f"{name}: no file {path}"
    return None
