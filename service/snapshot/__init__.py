"""Snapshots: what a replica has taken over since its bundle, on disk, so that a start is short."""

from service.snapshot.folder import Snapshots, kept_in
from service.snapshot.format import Snapshot, SnapshotError, SnapshotFacts

__all__ = ["Snapshot", "SnapshotError", "SnapshotFacts", "Snapshots", "kept_in"]
