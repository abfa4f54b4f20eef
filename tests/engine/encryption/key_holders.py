"""People with devices, and rooms that they hold keys of."""

from collections.abc import Sequence
from functools import cache

from chinwag.engine.model.events import Event, RoomKeyChanged
from chinwag.engine.model.values import KeyCustody, Room, Sealed
from chinwag.engine.testing.harness import EngineHarness, Person
from tests.engine.encryption.rooms_with_keys import Client


@cache
def device(name: str) -> Client:
    """Everybody's device. Making RSA keys takes a while, so each is made once."""
    return Client()


async def join(h: EngineHarness, *names: str) -> list[Person]:
    """People with a public key in their profile."""
    people = [await h.join(name) for name in names]
    for name, person in zip(names, people, strict=True):
        await h.engine.accounts.update_profile(person.id, public_key=device(name).public_pem)
    return people


async def room_of(h: EngineHarness, *people: Person, custody: KeyCustody = KeyCustody.SERVER) -> Room:
    creator, *others = people
    return await h.engine.rooms.create(creator.id, name="tea", member_ids=[each.id for each in others], custody=custody)


async def keys_of(h: EngineHarness, room: Room, person: Person) -> dict[int, bytes]:
    """What this person's device opens of their keys of the room."""
    ring = await h.engine.keys.for_member(room.id, person.id)
    mine = device(person.user.username)
    assert ring.newest == max((key.version for key in ring.keys), default=0)
    return {key.version: mine.unseal(key.sealed) for key in ring.keys}


async def read(h: EngineHarness, room: Room, author: Person, sealed: Sealed) -> str:
    """What the server makes of a content that somebody encrypted."""
    content = await h.engine.keys.content_of(room.id, author.id, sealed)
    assert content.sealed == sealed
    return content.text


def of_keys(events: Sequence[Event]) -> list[int]:
    """The versions that a client was told of."""
    return [event.version for event in events if isinstance(event, RoomKeyChanged)]
