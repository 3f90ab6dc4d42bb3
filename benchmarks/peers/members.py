"""The peers by name; each is imported when it is asked for, since each is a package of its own."""

import importlib
from importlib.util import find_spec

from benchmarks.peers.base import Peer

MEMBERS = {
    "faiss": ("faiss", "faiss_graph:Faiss"),
    "pgvector": ("pgserver", "pgvector:PgVector"),
    "lancedb": ("lancedb", "lance:LanceDb"),
    "chroma": ("chromadb", "chroma:Chroma"),
    "milvus-lite": ("milvus_lite", "milvus:MilvusLite"),
    "qdrant-local": ("qdrant_client", "qdrant:QdrantLocal"),
}
"""Name -> the package that it needs, and where its class is."""


def installed() -> list[str]:
    """Return the names of the peers that can run here."""
    return [name for name, (package, _) in MEMBERS.items() if find_spec(package)]


def member(name: str) -> type[Peer]:
    """Return the class of a peer."""
    file, _, kind = MEMBERS[name][1].partition(":")
    found: type[Peer] = getattr(importlib.import_module(f"benchmarks.peers.{file}"), kind)
    return found
