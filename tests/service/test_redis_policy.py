"""A Redis that evicts must not hold the catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.embedded_redis import EmbeddedRedis
from service.redis_policy import RedisRefused, refuse_evicting


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with EmbeddedRedis(tmp_path) as url:
        yield url


def test_redis_that_keeps_everything_is_taken(url: str) -> None:
    refuse_evicting(url)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_evicting_redis_is_refused_with_the_remedy(url: str, policy: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory-policy", policy)
    with pytest.raises(RedisRefused, match=rf"{policy}.*set `maxmemory-policy noeviction`") as info:
        refuse_evicting(url)
    assert "\n" not in str(info.value)


def test_password_stays_out_of_the_refusal(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("requirepass", "hunter2")
    with pytest.raises(RedisRefused) as info:
        refuse_evicting(f"{url}?password=hunter2")
    assert "hunter2" not in str(info.value)


def test_unreachable_redis_is_not_judged() -> None:
    refuse_evicting("redis://127.0.0.1:1", timeout_s=0.2)


def test_url_that_is_none_is_refused() -> None:
    with pytest.raises(RedisRefused, match="redis URL"):
        refuse_evicting("127.0.0.1:6379")
