"""Opens bundles in a process of its own: `python -m tests.faults.bundle_opener`.

Reads folders from standard input, one a line, and answers each with what it made of it. A crash
ends the process, which the asking one sees.
"""

import contextlib
import hashlib
import sys
from pathlib import Path

from export.contract.errors import ContractError
from export.embedder import open_bundle
from export.index.cached import open_index

USER = {"country": "de", "taste": {"art": 1.0}}
K = 10


def main() -> None:
    for line in sys.stdin:
        folder = Path(line.rstrip("\n"))
        try:
            with contextlib.redirect_stdout(sys.stderr):  # onnxruntime prints of its own accord
                said = answers(folder)
        except (ContractError, OSError):
            said = "refused"
        sys.stdout.write(said + "\n")
        sys.stdout.flush()


def answers(folder: Path) -> str:
    """Return what a bundle says of one user, and a digest of all that it would serve.

    It is opened as a service opens it.
    """
    bundle, embedder = open_bundle(folder, opens_index=True)
    vector = embedder.embed("user", [bundle.schema.user.parse(USER)])
    labels, scores = open_index(bundle).search(vector, K)
    digest = hashlib.sha256(bundle.vectors.tobytes())
    digest.update("\n".join(bundle.ids).encode())
    digest.update(repr(bundle.records.to_pylist()).encode())
    digest.update(bundle.popularity.tobytes())
    return f"{labels.tolist()} {scores.tolist()} {digest.hexdigest()}"


if __name__ == "__main__":
    main()
