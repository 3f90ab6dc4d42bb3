"""The examples of the OpenAPI document and of `/docs`: bodies in, answers out, every problem."""

from service import errors
from service.errors import Problem

RECALL_WARM = {
    "user_id": "u42",
    "state": "warm",
    "dropped": [],
    "version": "kuairand-3",
    "items": ["v17", "v9"],
    "scores": [0.83, 0.81],
    "score": "cosine",
    "degraded": [],
    "exhausted": False,
    "request_id": "01JD8X0J7Q6V3M5C9T2R4W8E1Z",
}
RECALL_RANKED = RECALL_WARM | {
    "items": ["v9", "v17"],
    "scores": [0.81, 0.83],
    "rank": "din",
    "rank_scores": [0.42, 0.27],
}
RECALL_EXPLAINED = RECALL_WARM | {
    "debug": {
        "request": {
            "user_id": "u42",
            "user": {},
            "context": {},
            "history": None,
            "k": 2,
            "exclude": ["v3"],
            "cold": False,
            "after": None,
            "rank": None,
        },
        "bundle": "6d0f2c9a4d6b7a01",
        "pointer": {"generation": 4, "current": "kuairand-3", "candidate": None, "share": 0.0},
        "log_id": "1732000000000-0",
        "checksum": "9f86d081884c7d65",
        "changes": 1,
        "highest_rev": 17,
        "path": {
            "state": "warm",
            "store": "read",
            "history": None,
            "search": "nearest",
            "exact": False,
            "rank": None,
        },
        "stored": {
            "content": {"gender": "f"},
            "preference": {"taste": {"cooking": 4.0}},
            "ignored": 0,
        },
        "user": {
            "content": {"gender": "f"},
            "preference": {"taste": {"cooking": 4.0}},
            "context": {},
            "present": True,
        },
        "vector": [0.6, 0.8],
        "candidates": {
            "items": ["v17", "v3", "v9"],
            "scores": [0.83, 0.82, 0.81],
            "parts": ["main", "delta", "main"],
        },
        "excluded": [{"id": "v3", "place": 1, "why": "exclude"}],
        "index": {
            "main": {
                "rows": 7583,
                "live": 7582,
                "from_bundle": True,
                "settings": {"kind": "hnsw", "M": 16, "ef": 150},
            },
            "delta": {"rows": 1, "items": ["v3"], "places": [0], "vectors": "2f1d3c5b7a990e4d"},
            "others": {},
        },
        "made_by": {
            "firstsight": "0.1.0",
            "numpy": "2.3.5",
            "onnxruntime": "1.31.0",
            "hnswlib": "0.8.0",
        },
    }
}
RECALL_COLD = RECALL_WARM | {"state": "cold", "dropped": ["preference"]}
RECALL_BATCH = {
    "requests": [
        {"user_id": "u42", "k": 100},
        {"user": {"gender": "f", "age": 31}, "k": 20},
        {"user": {"age": "old"}},
    ]
}
ITEM = {"id": "v900001", "tags": ["cooking", "travel"], "duration": 31.5}
PATCH = {"duration": 33, "tags": None}
POSTED = {
    "id": "v900001",
    "state": "cold",
    "dropped": ["preference"],
    "version": "kuairand-3",
    "vector": [0.6, 0.8],
    "searchable": True,
    "durable": True,
    "log_id": "1732000000000-0",
}
EXAMPLES: dict[type[Problem], Problem] = {
    type(problem): problem
    for problem in (
        errors.Malformed("unexpected end of data: line 1 column 8 (char 7)"),
        errors.Unauthenticated(),
        errors.Forbidden.of_key("shop", ["recall"], "write"),
        errors.UnknownRoute("/recal"),
        errors.UnknownItem("v1"),
        errors.UnknownUser("u42"),
        errors.UnknownBundle(
            "kuairand-5",
            "version 'kuairand-5' is not in bundles (there: kuairand-3); publish it first",
        ),
        errors.MethodNotAllowed("PATCH", ["GET", "POST"]),
        errors.BodyTimeout(10),
        errors.Conflict(
            "not changed: generation 7 came first, expected 6; version kuairand-4 is current now. "
            "Look, and decide again"
        ),
        errors.PreconditionFailed("u42", "newer", 1_732_000_000.25),
        errors.TooLarge(1 << 20),
        errors.UnsupportedMedia("text/plain"),
        errors.InvalidRecord.of("duration", "long", "a finite number or null"),
        errors.BundleRefused("kuairand-4", "bundles/kuairand-4: member vectors.npy has changed"),
        errors.Overloaded("over 1024 requests are in work here"),
        errors.NotReady("bundle"),
        errors.StoreUnavailable(),
        errors.DeadlineExceeded(500),
        errors.Internal(),
    )
}
BAD_ITEM = EXAMPLES[errors.InvalidRecord].body()
BAD_USER = errors.InvalidRecord.of("age", "old", "a finite number or null").body()
RECALL_BATCH_ANSWER = {
    "results": [
        {"status": 200, **RECALL_WARM},
        {"status": 200, **RECALL_COLD, "user_id": None},
        BAD_USER,
    ]
}
POSTED_BATCH = {
    "results": [{"status": 201, **POSTED}, {"status": 422, **BAD_ITEM}],
    "log_id": "1732000000000-0",
}
STORED_ITEM = {
    "id": "v900001",
    "record": ITEM,
    "state": "cold",
    "dropped": ["preference"],
    "version": "kuairand-3",
    "vector": [0.6, 0.8],
}
USER = {"gender": "f", "age": 31, "taste": {"cooking": 4.0, "travel": 1.0}}
USER_PATCH = {"age": 32, "preference": None}
STORED_USER = {"id": "u42", "record": {"id": "u42", **USER}, "state": "warm", "dropped": []}
VERSION = {
    "version": "kuairand-3",
    "candidate": {"version": "kuairand-4", "share": 0.1},
    "code": "0.1.0",
    "schema_hash": "9f2c",
    "dim": 64,
    "similarity": "cosine",
    "ranker": "din",
    "lineage": {
        "run": "kuairand",
        "data": "kuairand_pure",
        "data_digest": "5b1f",
        "trained_at": "2026-01-02T10:00:00Z",
        "exported_at": "2026-01-02T10:05:00Z",
        "code": "0.1.0+8a63782",
        "log_id": None,
    },
    "features": {
        "user": {"content": {"gender": {"kind": "category"}}, "context": {}, "preference": {}},
        "item": {"content": {"tags": {"kind": "tags"}}, "context": {}, "preference": {}},
    },
}
SIMILAR = {
    "id": "v17",
    "state": "warm",
    "dropped": [],
    "version": "kuairand-3",
    "items": ["v9", "v900001"],
    "scores": [0.97, 0.93],
    "score": "cosine",
    "degraded": [],
    "exhausted": False,
    "request_id": "01JD8X0J7Q6V3M5C9T2R4W8E1Z",
}
EMBED = {
    "users": [{"gender": "f", "age": 31, "tab": "1"}, {"age": "old"}],
    "items": [{"id": "v900001", "tags": ["cooking", "travel"]}],
}
COLD = {"status": 200, "state": "cold", "dropped": ["preference"]}
EMBEDDED = {
    "version": "kuairand-3",
    "users": [COLD | {"id": None, "vector": [0.8, 0.6]}, BAD_USER],
    "items": [COLD | {"id": "v900001", "vector": [0.6, 0.8]}],
}
READY = {
    "state": "ready",
    "version": "kuairand-3",
    "log_id": "1732000000000-0",
    "lag": 0,
    "checksum": "9f86d081884c7d65",
    "candidate": {
        "share": 0.1,
        "version": "kuairand-4",
        "log_id": "1732000000000-0",
        "lag": 0,
        "checksum": "9f86d081884c7d65",
    },
    "refused": None,
    "waiting_for": None,
    "durability": "fsync",
    "remedy": None,
}
NOT_READY = {
    "state": "loading",
    "version": None,
    "log_id": None,
    "lag": None,
    "checksum": None,
    "candidate": None,
    "refused": None,
    "waiting_for": "bundle",
    "durability": None,
    "remedy": None,
}
POINTER = {
    "generation": 6,
    "current": "kuairand-3",
    "candidate": None,
    "share": 0.0,
    "previous": "kuairand-2",
}
TRIED = POINTER | {"generation": 7, "candidate": "kuairand-4", "share": 0.1}
BUNDLES = {
    "pointer": TRIED,
    "unknown": None,
    "bundles": [
        {
            "version": "kuairand-3",
            "size_bytes": 31457280,
            "created": "2026-01-02T10:05:00+00:00",
            "items": 7583,
            "fault": None,
            "roles": ["current"],
            "share": None,
        },
    ],
}
CHANGED = {"before": POINTER, "after": TRIED}
ROLLED_BACK = {"before": TRIED, "after": POINTER | {"generation": 8}}
