"""The explainer: answers one recall alone, and tells how it was made."""

import hashlib
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from export.embedder import Embedder, Vectors
from service.generation import Generation
from service.history import replaced
from service.http.wire import json_bytes
from service.index.found import Found
from service.index.view import Part
from service.known_user import KnownUser, Stored
from service.recall import Recalled, Recaller
from service.recall_request import RecallRequest
from service.records import UserRecord
from service.rollout.pointer import Pointer
from service.snapshot.format import digest_of
from service.store import LOG_START, StoreUnavailable

MADE_BY = ("firstsight", "numpy", "onnxruntime", "hnswlib")
SEARCHED_BY = {"compact": ("faiss-cpu",)}
"""What more makes an answer where the bundle has an index of a kind."""

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Explained:
    """An answer, and how it was made: the members of `Debug`."""

    recalled: Recalled
    debug: Facts

    def encode(self, request_id: str, **beside: object) -> bytes:
        """Return the JSON body of the answer, with `debug` at its end."""
        body = self.recalled.encode(request_id, **beside)
        return body[:-1] + b',"debug":' + json_bytes(self.debug) + b"}"


class Explainer:
    """Answers recalls with `debug`: by the recaller, in batches of one.

    What it tells is gathered at the moment of the search; nothing of it is done for other recalls.
    """

    def __init__(self, recaller: Recaller, generation: Generation, embedder: Embedder) -> None:
        self._recaller = recaller
        self._generation = generation
        self._embedder = embedder

    async def recall(self, request: RecallRequest, pointer: Pointer | None = None) -> Explained:
        """Answer one request; the pointer is told of as it is."""

        def look(stored: Stored | None, user: KnownUser, found: Found) -> Facts:
            return self._facts(request, stored, user)

        recalled, facts = await self._recaller.recall_alone(request, look)
        told = None if pointer is None else asdict(pointer)
        return Explained(recalled, {"request": request.as_body(), "pointer": told, **facts})

    def _facts(self, request: RecallRequest, stored: Stored | None, user: KnownUser) -> Facts:
        generation, vector = self._generation, None
        if user.state != "fallback":
            vector = self._embedder.embed("user", [user.record], [user.state == "warm"])[0]
        parts = {part.name: part for part in generation.view.parts()}
        candidates = self._candidates(request, vector, parts)
        position = generation.position
        return {
            "bundle": digest_of(generation.bundle),
            "log_id": str(LOG_START if position is None else position.cursor),
            "checksum": generation.checksum,
            "changes": generation.changes,
            "highest_rev": generation.highest_rev,
            "path": self._path(request, stored, user),
            "stored": _stored(request, stored),
            "user": self._user(user),
            "vector": vector,
            "candidates": candidates,
            "excluded": [
                {"id": one, "place": place, "why": "exclude"}
                for place, one in enumerate(candidates["items"])
                if one in request.exclude
            ],
            "index": self._index(parts),
            "made_by": _made_by(generation.bundle.manifest.index.settings.get("kind")),
        }

    def _path(self, request: RecallRequest, stored: Stored | None, user: KnownUser) -> Facts:
        main = self._generation.view.main
        needed = request.k + len(main.ids.rows(request.exclude))
        settings = self._settings(main.vectors) or {}
        return {
            "state": user.state,
            "store": _read_as(request, stored),
            "history": self._history(request, user),
            "search": "popular" if user.state == "fallback" else "nearest",
            "exact": settings.get("kind") == "exact" or main.indexed.compares_all(needed),
            "rank": request.rank,
        }

    def _history(self, request: RecallRequest, user: KnownUser) -> Facts | None:
        if request.history is None:
            return None
        made = replaced(self._generation.schema.user) - request.settled
        known = sum(one in self._generation for one in request.history)
        features = sorted(made & user.record.keys())
        return {"ids": len(request.history), "known": known, "features": features}

    def _user(self, user: KnownUser) -> Facts:
        side = self._generation.schema.user
        groups = {"content": side.content, "preference": side.preference, "context": side.context}
        return {
            **{
                name: {one: user.record[one] for one in group if one in user.record}
                for name, group in groups.items()
            },
            "present": user.state == "warm",
        }

    def _candidates(
        self, request: RecallRequest, vector: Any, parts: dict[str, Part]
    ) -> dict[str, Any]:
        """Search again, with nothing excluded."""
        k, ids = request.k + len(request.exclude), self._generation.catalogue.ids
        if vector is None:
            found = self._generation.popular(k, ())
            where = ["bundle" if one in ids else "fresh" for one in found.items]
        else:
            [found] = self._generation.search(vector[None], [k], [()])
            beside = {
                part.ids[row]: name
                for name, part in parts.items()
                if name != "main"
                for row in np.flatnonzero(part.retired == 0).tolist()
            }
            where = [beside.get(one, "main") for one in found.items]
        return {"items": found.items, "scores": found.scores, "parts": where}

    def _settings(self, main: Vectors) -> Facts | None:
        """Return the settings of the main index; None if it is not that of the bundle."""
        bundle = self._generation.bundle
        return bundle.manifest.index.settings if main is bundle.vectors else None

    def _index(self, parts: dict[str, Part]) -> Facts:
        main, delta = parts["main"], parts["delta"]
        settings = self._settings(main.vectors)
        places = np.flatnonzero(delta.retired == 0)
        vectors = np.ascontiguousarray(delta.vectors[places])
        return {
            "main": {
                "rows": len(main.vectors),
                "live": int(np.count_nonzero(main.retired == 0)),
                "from_bundle": settings is not None,
                "settings": settings,
            },
            "delta": {
                "rows": len(delta.vectors),
                "items": [delta.ids[place] for place in places.tolist()],
                "places": places,
                "vectors": hashlib.sha256(vectors.tobytes()).hexdigest()[:16],
            },
            "others": {
                name: len(part.vectors)
                for name, part in parts.items()
                if name not in ("main", "delta")
            },
        }


def _read_as(request: RecallRequest, stored: Stored | None) -> str:
    """Say what became of reading the user."""
    if request.user_id is None:
        return "not asked"
    user = StoreUnavailable() if stored is None else stored[request.user_id]
    if isinstance(user, StoreUnavailable):
        return "no answer"
    return "nothing" if user is None else "read"


def _stored(request: RecallRequest, stored: Stored | None) -> Facts | None:
    user = None if not stored or request.user_id is None else stored[request.user_id]
    if not isinstance(user, UserRecord):
        return None
    groups = {"content": user.content, "preference": user.preference}
    return {**groups, "ignored": user.ignored}


@cache
def _made_by(index: str | None) -> dict[str, str]:
    found = {}
    for name in (*MADE_BY, *SEARCHED_BY.get(index or "", ())):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a folder
            found[name] = "unknown"
    return found
