"""The user use case: what is stored of a user, written whole, read and erased."""

from collections.abc import Mapping
from dataclasses import dataclass

from export.contract.schema import Schema
from service.errors import Overloaded
from service.records import State, UserRecord, parse_patch, parse_posted, state_of
from service.store import Contended, Store


@dataclass(frozen=True, slots=True)
class User:
    """A stored user, and how a recall for them is answered."""

    stored: UserRecord
    state: State
    dropped: list[str]

    @property
    def id(self) -> str:
        """The user's id."""
        return self.stored.id


class Users:
    """Users in the store, read and written with the schema of one bundle version."""

    def __init__(self, schema: Schema, store: Store) -> None:
        self._side = schema.user
        self._store = store

    async def get(self, one: str) -> User | None:
        """Return what is stored of a user; None if that is nothing.

        Raises:
            StoreUnavailable: The store does not answer.

        """
        stored = await self._store.get_user(one)
        return None if stored is None else self._user(stored)

    async def put(
        self,
        posted: Mapping[str, object],
        *,
        preference_as_of: str | None = None,
        unmodified_since_s: float | None = None,
    ) -> tuple[User, bool]:
        """Store a user in place of what was stored; also say whether that was nothing.

        Args:
            posted: A flat record as JSON has it, with its `id`.
            preference_as_of: Up to when its preference tells of behaviour, in the writer's words.
            unmodified_since_s: Store only what nobody wrote after this moment or erased at any.

        Raises:
            Kept: That condition does not hold; nothing is stored.
            RecordError: Names every value at fault.
            StoreUnavailable: The store does not answer; it may be stored or not.

        """
        one, groups = parse_posted(self._side, posted)
        as_of = None if groups.preference is None else preference_as_of
        user = UserRecord(one, groups.content, groups.preference, as_of)
        created = await self._store.put_user(user, unmodified_since_s=unmodified_since_s)
        return self._user(user), created

    async def patch(self, one: str, patch: Mapping[str, object]) -> tuple[User, bool]:
        """Merge features into what is stored of a user; say also whether that was nothing.

        Args:
            one: The user's id.
            patch: Features as JSON has them, null where one is to go; `"preference": null` forgets
                all preference that was stored.

        Raises:
            Overloaded: Others kept writing the user.
            RecordError: Names every value at fault.
            StoreUnavailable: The store does not answer; it may be stored or not.

        """
        groups, forgets = parse_patch(self._side, patch)
        try:
            stored, created = await self._store.patch_user(one, groups, forgets=forgets)
        except Contended:
            raise Overloaded(f"user {one!r}: others keep writing it") from None
        return self._user(stored), created

    async def delete(self, one: str) -> bool:
        """Erase all that is stored of a user; say whether there was anything.

        Raises:
            StoreUnavailable: The store does not answer; it may be erased or not.

        """
        return await self._store.delete_user(one)

    def _user(self, stored: UserRecord) -> User:
        state, dropped = state_of(self._side, stored.record)
        return User(stored, state, dropped)
