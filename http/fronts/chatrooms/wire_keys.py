"""Rooms' keys. As `wire`, pure functions."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from chinwag.engine.model.ids import UserId
from chinwag.engine.model.keys import KeyRing
from chinwag.http.fronts.chatrooms.wire import Id, Time, custody, encode
from chinwag.http.kit.times import rfc3339


class HeldKey(msgspec.Struct, frozen=True, kw_only=True):
    """A version of the room's key, sealed for the caller. `sealed_by` is null where the server did it."""

    version: int
    sealed_key: str
    sealed_by: Id | None
    created_at: Time


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    key_custody: Literal["client", "server"]
    current_version: int
    keys: list[HeldKey]
    public_keys: dict[Id, str | None]


def keys(ring: KeyRing, public_keys: Mapping[UserId, str | None]) -> Keys:
    return Keys(
        key_custody=custody(ring.custody),
        current_version=ring.newest,
        keys=[
            HeldKey(
                version=each.version,
                sealed_key=each.sealed,
                sealed_by=None if each.sealed_by is None else encode(each.sealed_by),
                created_at=rfc3339(each.created_us),
            )
            for each in ring.keys
        ],
        public_keys={encode(user_id): key for user_id, key in public_keys.items()},
    )
