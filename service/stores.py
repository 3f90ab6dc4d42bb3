"""How settings become the way to Redis, and what is read there with the schema of a version."""

from service.generation import Generation
from service.settings import Settings
from service.store import Link, Store, WriteAck


def open_link(settings: Settings) -> Link:
    """Return the way to Redis; it connects when it is asked."""
    assert settings.redis is not None, "the supervisor says where Redis is"
    return Link(
        settings.redis.get_secret_value(),
        prefix=settings.prefix,
        timeout_s=settings.store_timeout_ms / 1000,
        ack=WriteAck(settings.write_ack, settings.write_replicas),
    )


def open_store(settings: Settings, generation: Generation, link: Link | None = None) -> Store:
    """Return the store, read with the generation's schema, on that link or one of its own."""
    return Store(
        link or open_link(settings),
        generation.schema,
        prefix=settings.prefix,
        erased_kept_s=settings.erased_kept_days * 86_400,
        users_kept_s=settings.users_kept_days * 86_400,
        log_entries=settings.log_entries,
    )
