"""What an acknowledged write survives: how Redis keeps data, and what a write waits for."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from service.store.connection import Call

AckKind = Literal["local", "fsync", "replica"]
"""What a write waits for: Redis' word, its disk, or its replicas."""

Level = Literal["none", "os", "everysec", "fsync", "replica"]
"""What an acknowledged write survives, least first.

none: not even Redis' own end, or it may be evicted. os: the end of Redis, not that of its machine.
everysec: both, but for the last second. fsync: both. replica: the loss of the machine.
"""

WAIT_MS: Final = 1000
"""How long a write waits for disk or replicas; below the timeout of writes."""

WAITAOF_SINCE: Final = (7, 2)

WAITS_FOR_NOBODY: Final[dict[AckKind, Call]] = {
    "replica": ["WAIT", 0, 0],
    "fsync": ["WAITAOF", 0, 0, 0],
}
"""What tells at once whether a user may wait at all."""

LEVEL_OF: Final[dict[str | None, Level]] = {"always": "fsync", "everysec": "everysec"}


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a Redis keeps what is written, as it says."""

    version: str
    appends: bool
    """Whether it writes an append-only file (`appendonly`)."""
    fsyncs: str | None
    """`appendfsync`: always, everysec or no; None: it does not tell."""
    eviction: str
    """`maxmemory-policy`."""
    replicas: int
    """How many are connected."""
    may_wait: bool = True
    """Whether our user may wait for what writes are to wait for."""

    @property
    def waits_for_disk(self) -> bool:
        """Whether it knows WAITAOF."""
        numbers = tuple(int(part) for part in self.version.split(".")[:2] if part.isdigit())
        return numbers >= WAITAOF_SINCE


@dataclass(frozen=True, slots=True)
class Durability:
    """What acknowledged writes survive; and what to do where that is less than was asked for."""

    level: Level
    remedy: str | None = None


async def read_keeping(client: Redis, kind: AckKind) -> Keeping:
    """Ask a Redis how it keeps data, and whether writes may wait for that.

    Raises:
        ResponseError: It does not let us ask INFO.

    """
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.info()
        pipeline.config_get("*append*")  # a list of names is for 7.0 and later
        if kind in WAITS_FOR_NOBODY:
            pipeline.execute_command(*WAITS_FOR_NOBODY[kind])
        info, config, *waits = await pipeline.execute(raise_on_error=False)
    if isinstance(info, Exception):
        raise info
    if isinstance(config, Exception) and not isinstance(config, ResponseError):
        raise config
    return Keeping(
        version=str(info.get("redis_version", "")),
        appends=info.get("aof_enabled") == 1,
        fsyncs=_fsyncs({} if isinstance(config, Exception) else config),
        eviction=str(info.get("maxmemory_policy", "noeviction")),
        replicas=int(info.get("connected_slaves", 0)),
        may_wait=not any(isinstance(one, NoPermissionError) for one in waits),
    )


def _fsyncs(config: dict[Any, Any]) -> str | None:
    told = {_text(name): _text(value) for name, value in config.items()}
    if told.get("no-appendfsync-on-rewrite") == "yes":
        return "no"  # while the file is rewritten, which is whenever it has grown
    return told.get("appendfsync")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class WriteAck:
    """What a write waits for before it is acknowledged.

    replicas: how many must have it, where `kind` is `replica`.
    """

    kind: AckKind = "local"
    replicas: int = 1

    def durability(self, keeping: Keeping) -> Durability:
        """Return what acknowledged writes survive there.

        A Redis without a file that ends and starts again is empty, and its replicas empty
        themselves after it; so replicas do not make up for that.
        """
        if not keeping.appends:
            return Durability("none", "redis writes no append-only file: set `appendonly yes`")
        if keeping.eviction != "noeviction":
            policy = f"maxmemory-policy {keeping.eviction}"
            return Durability("none", f"redis evicts ({policy}): set `maxmemory-policy noeviction`")
        if self.kind == "replica" and keeping.replicas >= self.replicas and keeping.may_wait:
            return Durability("replica")
        level = LEVEL_OF.get(keeping.fsyncs, "os")
        can_wait = keeping.waits_for_disk and keeping.may_wait
        if self.kind == "fsync" and level != "fsync" and can_wait:
            level = "fsync"
        return Durability(level, self._remedy(keeping, level))

    def _remedy(self, keeping: Keeping, level: Level) -> str | None:
        if not keeping.may_wait and level != self.kind:
            right = WAITS_FOR_NOBODY[self.kind][0]
            return f"redis does not let us wait: allow `+{str(right).lower()}`"
        if self.kind == "replica":
            return f"{keeping.replicas} of {self.replicas} replicas are connected: connect more"
        if self.kind == "fsync" and level != "fsync":
            return (
                f"redis {keeping.version} cannot be asked to wait for its disk "
                "(WAITAOF is of 7.2): set `appendfsync always`"
            )
        if keeping.fsyncs is None:
            return (
                "redis does not let us read `appendfsync`, so the least is told: allow CONFIG GET"
            )
        return None

    def call(self, keeping: Keeping) -> Call | None:
        """Return the command that waits for a connection's writes; None if there is none."""
        if self.kind == "replica":
            return ["WAIT", self.replicas, WAIT_MS]
        if self.kind == "fsync" and keeping.fsyncs != "always" and keeping.waits_for_disk:
            return ["WAITAOF", 1, 0, WAIT_MS]
        return None

    def fault(self, keeping: Keeping, reply: Any) -> str | None:
        """Say why a write is not as durable as asked for; None if it is.

        Args:
            keeping: How the Redis that has it keeps it.
            reply: What it answered to `call`; None if that was not asked.

        """
        durability = self.durability(keeping)
        if durability.level == "none" or isinstance(reply, Exception):
            return durability.remedy or str(reply)
        if self.kind == "replica":
            had = int(reply or 0)
            if had < self.replicas:
                return f"{had} of {self.replicas} replicas had it within {WAIT_MS} ms"
        if self.kind == "fsync" and keeping.fsyncs != "always":
            if not keeping.waits_for_disk:
                return durability.remedy
            if not reply or int(reply[0]) < 1:
                return f"it was not on disk within {WAIT_MS} ms"
        return None
