"""Every route of every front, tried by everybody, on what is there and on what is not.

What is expected is data (`authorization.py`); a refused request must also have changed nothing.
"""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

from chinwag.engine.accounts.log_ins import LogIn
from chinwag.engine.model.ids import FileId, RoomId, UserId
from chinwag.engine.model.values import User
from chinwag.http.api.front import Front
from chinwag.http.api.routing import Route, path_names
from chinwag.http.registry import FRONTS
from chinwag.persistence import open_folder_blobs
from tests.http.fronts.authorization import PASSWORD, PIXEL, REACTION, ROLES, TABLES, Actor, Probe, Scene
from tests.http.service_api import Answer, Api, Person, open_api

MISSING = 4096
"""An id that nobody has."""
JOINERS = (Actor.EX_MEMBER, Actor.BANNED)

ROUTES = [(front, route) for front in FRONTS for route in front.routes]


def _name(front: Front, route: Route) -> str:
    return f"{front.name} {route.method} {route.path}"


def _probe(front: Front, route: Route) -> Probe:
    return TABLES[front.name][f"{route.method} {route.path}"]


class World:
    """One server, with a user for each way to stand to a room, who are `LogIn`s."""

    def __init__(self, api: Api, front: Front, people: Mapping[str, LogIn]) -> None:
        self.api = api
        self.front = front
        self.people = people

    def wire(self, any_id: int) -> str:
        return self.front.ids.encode(any_id)

    def person(self, actor: Actor) -> Person | None:
        """Who sends the request, None for nobody."""
        if actor is Actor.ANONYMOUS:
            return None
        opened = self.people[actor]
        token = self.api.tokens.issue(opened.user.id, opened.family_id)
        return Person(self.wire(opened.user.id), opened.user.username, token, opened.refresh_token)

    async def scene(self, probe: Probe, actor: Actor) -> Scene:
        """A room that has everybody in it who should be, made for one actor's requests."""
        engine = self.api.engine
        users = {name: opened.user for name, opened in self.people.items()}
        owner, target = users[Actor.OWNER], users["target"]
        there = (*JOINERS, Actor.MEMBER, Actor.MODERATOR, Actor.ADMIN)
        members = [*(users[each].id for each in there), target.id]
        room = await engine.rooms.create(owner.id, name="tea", member_ids=members)
        for role in (Actor.MODERATOR, Actor.ADMIN):
            await engine.rooms.set_member_role(room.id, owner.id, users[role].id, ROLES[role])
        of_target = await engine.messages.post(room.id, target.id, text="hello")
        me = users.get(actor, owner)
        author = me if actor in (*JOINERS, *ROLES) else target
        own = await engine.messages.post(room.id, author.id, text="hello again")
        if "emoji" in probe.path and author is me:
            await engine.messages.add_reaction(room.id, me.id, of_target.message.id, REACTION)
        file_id = await self._uploaded(target.id, room.id) if "file" in probe.path.values() else MISSING
        await engine.rooms.remove_member(room.id, users[Actor.EX_MEMBER].id, users[Actor.EX_MEMBER].id)
        await engine.rooms.remove_member(room.id, users[Actor.MODERATOR].id, users[Actor.BANNED].id)
        invitation, code = await engine.invitations.create(room.id, owner.id, max_uses=1, lifetime_s=60.0)
        return Scene(
            actor=self.wire(me.id),
            username=me.username,
            unused=f"unused-{actor}",
            room=self.wire(room.id),
            direct=self.wire(await self._direct(me if actor in ROLES else owner, target)),
            target=self.wire(target.id),
            outsider=self.wire(users["outsider"].id),
            message=self.wire(of_target.message.id),
            own_message=self.wire(own.message.id),
            file=self.wire(file_id),
            code=code,
            invitation=self.wire(invitation.id),
            banned=self.wire(users[Actor.BANNED].id),
            refresh_token=self.people.get(actor, self.people["target"]).refresh_token,
        )

    async def _uploaded(self, owner: UserId, room_id: RoomId) -> FileId:
        async with self.api.engine.files.receiving(limit_bytes=len(PIXEL)) as incoming:
            await incoming.write(PIXEL)
            return (await incoming.keep(owner, room_id, name="pixel.png")).id

    async def _direct(self, one: User, other: User) -> RoomId:
        return (await self.api.engine.rooms.direct(one.id, other.id)).id

    async def ask(self, route: Route, probe: Probe, scene: Scene, actor: Actor, missing: str | None = None) -> Answer:
        """The probe's request by an actor; with `missing` that name in the path is an id that nobody has."""
        path = self.front.base + route.path
        for name in path_names(route.path):
            given = probe.path[name]
            value = self.wire(MISSING) if name == missing else getattr(scene, given, given)
            path = path.replace(f"{{{name}}}", value)
        more: dict[str, Any] = {}
        if probe.body is not None:
            more["json"] = probe.body(scene)
        if probe.query is not None:
            more["query"] = probe.query(scene)
        if probe.parts is not None:
            more["parts"] = probe.parts(scene)
        return await self.api.ask(route.method, path, as_=self.person(actor), **more)

    async def stored(self) -> dict[str, Any]:
        """All that is in the store."""
        await wait_all_tasks_blocked()
        tables = vars(self.api.store._tables)
        return {name: copy.copy(rows) for name, rows in tables.items() if isinstance(rows, dict)}


@asynccontextmanager
async def open_world(front: Front, folder: Path) -> AsyncIterator[World]:
    blobs = await open_folder_blobs(folder)
    async with open_api([front], blobs=blobs, checked=True) as api:
        accounts = api.engine.accounts
        people: dict[str, LogIn] = {}
        for name in (*(actor for actor in Actor if actor is not Actor.ANONYMOUS), "target", "outsider"):
            username = f"the-{name}"
            user = await accounts.register(username=username, email=f"{username}@example.org", password=PASSWORD)
            people[name] = await accounts.open_log_in(user.id)
        yield World(api, front, people)


def test_every_route_is_in_the_table_and_nothing_else() -> None:
    for front in FRONTS:
        assert {f"{route.method} {route.path}" for route in front.routes} == set(TABLES[front.name]), front.name


def test_every_name_in_a_path_that_is_an_id_is_tried_with_one_that_nobody_has() -> None:
    for front, route in ROUTES:
        probe = _probe(front, route)
        ids = {name for name in path_names(route.path) if name != "emoji" and probe.rule(Actor.OWNER) is None}
        assert ids == set(probe.missing), _name(front, route)


@pytest.mark.parametrize(("front", "route"), [pytest.param(*each, id=_name(*each)) for each in ROUTES])
async def test_a_route_answers_who_may_and_refuses_the_others_without_a_trace(
    front: Front, route: Route, tmp_path: Path
) -> None:
    probe = _probe(front, route)
    async with open_world(front, tmp_path) as world:
        for actor in Actor:
            scene = await world.scene(probe, actor)
            refusal = probe.rule(actor)
            before = None if refusal is None else await world.stored()
            answer = await world.ask(route, probe, scene, actor)
            expected = (probe.success or route.status) if refusal is None else refusal
            assert answer.status == expected, f"{actor}: {answer.body!r}"
            if before is not None:
                assert await world.stored() == before, f"{actor} was refused, and has changed something"


@pytest.mark.parametrize(
    ("front", "route", "name", "status"),
    [
        pytest.param(front, route, name, status, id=f"{_name(front, route)} without {name}")
        for front, route in ROUTES
        for name, status in TABLES[front.name]
        .get(f"{route.method} {route.path}", Probe(lambda _: None))
        .missing.items()
    ],
)
async def test_what_is_not_there_is_not_found_by_anybody_and_not_shown_to_who_has_no_token(
    front: Front, route: Route, name: str, status: int, tmp_path: Path
) -> None:
    probe = _probe(front, route)
    async with open_world(front, tmp_path) as world:
        for actor in (Actor.ANONYMOUS, Actor.STRANGER, Actor.MEMBER, Actor.OWNER):
            scene = await world.scene(probe, actor)
            before = await world.stored()
            answer = await world.ask(route, probe, scene, actor, missing=name)
            refusal = probe.rule(actor)
            # Who may not do it is told so, or that there is no such thing; who may is told that there is none.
            assert answer.status in ({status} if refusal is None else {status, refusal}), f"{actor}: {answer.body!r}"
            if actor is Actor.ANONYMOUS and refusal is not None:
                assert answer.status == refusal
            assert await world.stored() == before
