"""Which version serves whom: the current one, one that is tried on a share of users, the last."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from export.contract.bundle import VERSION

HASH_BITS = 64


class PointerRefused(Exception):
    """A change of the pointer that is not made; the message is the one line that says why."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Pointer:
    """The version that serves, the one that is tried on a share of users, the one before.

    generation: grows by 1 with each change.
    share: in 0..1 and not at its ends while there is a candidate, else 0.
    previous: what a rollback without a candidate makes current again.
    """

    generation: int
    current: str
    candidate: str | None = None
    share: float = 0.0
    previous: str | None = None

    def __str__(self) -> str:
        tried = f", {self.candidate} is tried on {self.share:.4g} of users"
        return f"version {self.current} is current{tried if self.candidate else ''}"

    def activated(self, version: str, share: float = 1.0) -> "Pointer":
        """Return the pointer after a version was made current, or for less than 1 the candidate.

        What is so already leaves it as it is, its generation too. Another candidate is dropped.

        Raises:
            PointerRefused: The share is none, or the version serves everyone already.

        """
        check_share(share)
        if share < 1:
            if version == self.current:
                raise PointerRefused(f"version {version} is current; a share is for another one")
            changed = replace(self, candidate=version, share=share)
        elif version == self.current:
            changed = replace(self, candidate=None, share=0.0)
        else:
            changed = Pointer(self.generation, version, previous=self.current)
        return self._next(changed)

    def rolled_back(self) -> "Pointer":
        """Return the pointer without its candidate; where there is none, the one before.

        What was rolled back is not the previous version then: a command that is sent twice must
        not bring it back.

        Raises:
            PointerRefused: There is neither a candidate nor a previous version.

        """
        if self.candidate is not None:
            return self._next(replace(self, candidate=None, share=0.0))
        if self.previous is None:
            raise PointerRefused(
                f"no version is known to have been current before {self.current}; activate one"
            )
        return self._next(Pointer(self.generation, self.previous))

    def _next(self, changed: "Pointer") -> "Pointer":
        return self if changed == self else replace(changed, generation=self.generation + 1)

    def fields(self) -> dict[str, str]:
        """Return what Redis holds; what there is not is empty."""
        return {
            "generation": str(self.generation),
            "current": self.current,
            "candidate": self.candidate or "",
            "share": repr(self.share) if self.candidate else "0",
            "previous": self.previous or "",
        }

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> "Pointer":
        """Read what Redis holds; fields that are not known are overlooked.

        Raises:
            ValueError: Names the field that cannot be used.

        """
        generation = fields.get("generation", "")
        if not (generation.isdecimal() and len(generation) < 16 and int(generation)):
            raise ValueError(f"generation: got {generation!r:.80}, expected a number from 1")
        candidate = fields.get("candidate") or None
        previous = fields.get("previous") or None
        for name, version in (("candidate", candidate), ("previous", previous)):
            if version is not None:
                _check_version(name, version)
        return cls(
            int(generation),
            _check_version("current", fields.get("current", "")),
            candidate,
            _parse_share(fields.get("share", "")) if candidate else 0.0,
            previous,
        )


def first_pointer(version: str) -> Pointer:
    """Return the pointer of a service that had none."""
    return Pointer(1, version)


def check_share(share: float) -> None:
    """Raise PointerRefused unless a version can be served to this share of users."""
    if not 0 < share <= 1:
        raise PointerRefused(f"share: got {share:g}, expected more than 0 and at most 1")


def version_for(pointer: Pointer, user_id: str | None) -> str:
    """Return the version that serves a user; who gives no id has the current one.

    A user's place in 0..1 is a hash of the id, the same in every process and release, and the
    candidate serves those below the share: who is in at one share is in at every larger one. The
    hash depends on the candidate, so that it is not always the same users who try the next.
    """
    if pointer.candidate is None or user_id is None:
        return pointer.current
    digest = hashlib.blake2b(
        user_id.encode(), digest_size=HASH_BITS // 8, key=pointer.candidate.encode()
    ).digest()
    is_in = int.from_bytes(digest, "big") < pointer.share * 2**HASH_BITS
    return pointer.candidate if is_in else pointer.current


def _check_version(name: str, version: str) -> str:
    if not VERSION.fullmatch(version):
        raise ValueError(f"{name} holds {version!r:.80}, which is no version")
    return version


def _parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ValueError(f"share: got {text!r:.80}, expected more than 0 and less than 1")
    return share
