"""The peers by name; each is imported when it is asked for, since each is a package of its own."""

import importlib
from importlib.util import find_spec

from benchmarks.peers.base import Peer

MEMBERS = {
    "faiss": ("faiss", "faiss_graph:Faiss"),
    "pgvector": ("pgserver", "pgvector:PgVector"),
    "redis-q8": ("redis", "redis_vector_sets:RedisQ8"),
    "redis-noquant": ("redis", "redis_vector_sets:RedisNoquant"),
    "lancedb": ("lancedb", "lance:LanceDb"),
    "chroma": ("chromadb", "chroma:Chroma"),
    "milvus-lite": ("milvus_lite", "milvus:MilvusLite"),
    "qdrant-local": ("qdrant_client", "qdrant:QdrantLocal"),
}
"""Name -> the package that it needs, and where its class is."""


def missing(name: str) -> str:
    """Say in a line what a peer needs that is not here; empty if it can run."""
    package = MEMBERS[name][0]
    if find_spec(package) is None:
        return f"{package} is not installed (extra peers)"
    return member(name).missing()


def member(name: str) -> type[Peer]:
    """Return the class of a peer."""
    file, _, kind = MEMBERS[name][1].partition(":")
    found: type[Peer] = getattr(importlib.import_module(f"benchmarks.peers.{file}"), kind)
    return found
