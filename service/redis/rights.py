"""Which rights that the service needs a user of Redis does not have."""

import secrets
from collections.abc import Iterator
from typing import Any, Final

import redis

from service.redis.url import Kind

TRY: Final = """
-- Tries the commands that the service's scripts call, and SADD, in ways that leave nothing behind.
-- KEYS: one that nobody uses. Answers those that the user may not run.
local key = KEYS[1]
local refused = {}
local function try(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) ~= 'table' or not reply.err then return end
  if string.find(reply.err, 'ACL failure', 1, true) or
    string.find(reply.err, 'The user executing the script', 1, true) then
    refused[#refused + 1] = command
  end
end
try('TIME')
try('DEL', key)
try('GET', key)
try('GETRANGE', key, 0, 1)
try('SET', key, '', 'XX')
try('PTTL', key)
try('ZSCORE', key, 'a')
try('ZADD', key, 'XX', 1, 'a')
try('XADD', key, 'NOMKSTREAM', '*', 'a', 'b')
try('XRANGE', key, '-', '+', 'COUNT', 1)
try('XTRIM', key, 'MAXLEN', 1)
try('HGET', key, 'a')
try('HGETALL', key)
try('HDEL', key, 'a')
try('INCR', key)
redis.pcall('DEL', key)
try('HSET', key, 'a', 'b')
redis.pcall('DEL', key)
try('SADD', key, 'a')
redis.pcall('DEL', key)
return refused
"""

Words = tuple[str | int, ...]

OF_KIND: Final[dict[Kind, list[tuple[str, Words]]]] = {
    "one": [],
    "cluster": [("+asking", ("ASKING",))],
    "sentinel": [("+role", ("ROLE",))],
}

WAITS: Final[dict[str, tuple[str, Words]]] = {
    "replica": ("+wait", ("WAIT", 0, 0)),
    "fsync": ("+waitaof", ("WAITAOF", 0, 0, 0)),
}
"""By what a write waits for: the right, and a wait for nobody. A server that is too old to know the
command does not refuse it."""


def missing_rights(
    client: "redis.Redis", prefix: str, *, kind: Kind = "one", write_ack: str = "local"
) -> list[str]:
    """Return what is missing, as ACL SETUSER takes it.

    Everything is tried on keys that nobody uses, on one server, and leaves nothing behind.

    Args:
        client: Of the server that holds the catalogue.
        prefix: Of all keys.
        kind: Of Redis: behind Sentinels ROLE is needed, in a cluster ASKING.
        write_ack: What a write waits for, as the setting has it.

    Raises:
        redis.ConnectionError: It does not answer.

    """
    # The tag sends all to the node of the catalogue, those of users too.
    free = f"{{{prefix}}}:rights:{secrets.token_hex(8)}"
    patterns = {
        f"~{{{prefix}}}:*": free,
        f"~{prefix}:user:*": f"{prefix}:user:{free}",
        f"~{prefix}:erased:*": f"{prefix}:erased:{free}",
    }
    missing = [name for name, key in patterns.items() if _refused(client, "GET", key) == "key"]
    waits = [WAITS[write_ack]] if write_ack in WAITS else []
    for name, words in [*_commands(free), *OF_KIND[kind], *waits]:
        if _refused(client, *words) == "command":
            missing.append(name)
    return missing + [one for one in _within_scripts(client, free) if one not in missing]


def _commands(key: str) -> Iterator[tuple[str, Words]]:
    """Yield what the service sends, by the name of the right, in ways that change nothing."""
    yield "+ping", ("PING",)
    yield "+info", ("INFO", "server")
    yield "+get", ("GET", key)
    yield "+mget", ("MGET", key)
    yield "+set", ("SET", key, "", "XX")
    yield "+del", ("DEL", key)
    yield "+hgetall", ("HGETALL", key)
    yield "+zrangebyscore", ("ZRANGEBYSCORE", key, 0, 1)
    yield "+smembers", ("SMEMBERS", key)
    yield "+srem", ("SREM", key, "a")
    yield "+zmscore", ("ZMSCORE", key, "a")
    yield "+xread", ("XREAD", "COUNT", 1, "STREAMS", key, "0")
    yield "+xinfo", ("XINFO", "STREAM", key)
    yield "+eval", ("EVAL", "return 1", 0)
    yield "+evalsha", ("EVALSHA", "0" * 40, 0)
    yield "+script", ("SCRIPT", "LOAD", TRY)


def _refused(client: "redis.Redis", *words: str | int) -> str | None:
    """Say what the user may not, use the command or the key; None: nothing of that."""
    try:
        client.execute_command(*words)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError as error:
        return "command" if "to run the" in str(error) else "key"
    except redis.ResponseError:
        return None  # no such key, or script: it was allowed
    return None


def _within_scripts(client: "redis.Redis", key: str) -> list[str]:
    try:
        refused: Any = client.eval(TRY, 1, key)
    except redis.ResponseError:
        return []  # then one of the above is missing
    return [f"+{one.decode().lower()}" for one in refused]
