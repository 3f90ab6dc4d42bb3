"""The Redis of the service's tests."""

from tests.service.conftest import redis_server, redis_url

__all__ = ["redis_server", "redis_url"]
