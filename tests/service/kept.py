"""What a store holds, read past the service."""

import redis


def kept(client: redis.Redis, key: str) -> bytes:
    """Return the bytes under a key, which has to be there."""
    value = client.get(key)
    assert isinstance(value, bytes), key
    return value
