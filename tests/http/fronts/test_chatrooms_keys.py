"""The chatrooms front's keys of chatrooms, in both custodies, over HTTP."""

import secrets
from base64 import b64decode, b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.http.fronts.chatrooms_api import NOBODY, STRANGE_UUID, Chatrooms, refused, succeeded, wrong_fields
from tests.http.service_api import Person

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def keys(chatrooms: Chatrooms, person: Person, room: str, **query: object) -> Any:
    return succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}/keys", as_=person, query=query))


def encrypted(key: bytes, text: str, version: int = 1) -> dict[str, object]:
    iv = secrets.token_bytes(12)
    data = AESGCM(key).encrypt(iv, text.encode(), None)
    return {"encrypted_data": b64encode(data).decode(), "iv": b64encode(iv).decode(), "key_version": version}


def opened(sealed: str) -> bytes:
    return PRIVATE.decrypt(b64decode(sealed), OAEP)


# --- the members hold the keys ------------------------------------------------------------------------------------


async def test_members_seal_keys_for_each_other(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann", public_key=PUBLIC)
    bob = await chatrooms.person("bob")
    room = await chatrooms.chatroom(ann, bob)
    assert await keys(chatrooms, ann, room) == {
        "key_custody": "client",
        "current_version": 0,
        "keys": [],
        "public_keys": {ann.id: PUBLIC, bob.id: None},
    }
    for version in (1, 2):
        body = {"version": version, "sealed": {ann.id: f"a{version}", bob.id: f"b{version}"}}
        answer = await chatrooms.ask("POST", f"/chatrooms/{room}/keys", as_=ann, json=body)
        assert (answer.status, answer.json) == (201, {"success": True, "message": "Keys stored"})
    held = await keys(chatrooms, bob, room)
    assert held["current_version"] == 2
    assert [list(each) for each in held["keys"]] == [["version", "sealed_key", "sealed_by", "created_at"]] * 2
    assert [(each["version"], each["sealed_key"], each["sealed_by"]) for each in held["keys"]] == [
        (1, "b1", ann.id),
        (2, "b2", ann.id),
    ]
    assert [each["version"] for each in (await keys(chatrooms, bob, room, above=1))["keys"]] == [2]
    assert (await keys(chatrooms, bob, room, above=2))["keys"] == []


async def test_of_two_who_make_a_version_the_second_is_told(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    path = f"/chatrooms/{room}/keys"
    succeeded(
        await chatrooms.ask("POST", path, as_=ann, json={"version": 1, "sealed": {ann.id: "a", bob.id: "b"}}), 201
    )
    answer = await chatrooms.ask("POST", path, as_=bob, json={"version": 1, "sealed": {ann.id: "x"}})
    assert refused(answer, 409, "RESOURCE_ALREADY_EXISTS") == {"what": "key"}
    [held] = (await keys(chatrooms, ann, room))["keys"]
    assert held["sealed_key"] == "a"


async def test_what_is_wrong_with_keys_is_named(chatrooms: Chatrooms) -> None:
    ann, eve = await chatrooms.people("ann", "eve")
    room = await chatrooms.chatroom(ann)
    path = f"/chatrooms/{room}/keys"
    for body, expected in (
        ({}, {"version": "REQUIRED_FIELD", "sealed": "REQUIRED_FIELD"}),
        ({"version": 0, "sealed": {}}, {"version": "INVALID_VALUE", "sealed": "INVALID_VALUE"}),
        ({"version": 2**31, "sealed": {ann.id: "x"}}, {"version": "INVALID_VALUE"}),
        ({"version": 2, "sealed": {ann.id: "x"}}, {"version": "INVALID_VALUE"}),
        ({"version": 1, "sealed": {ann.id: ""}}, {"sealed": "INVALID_VALUE"}),
        ({"version": 1, "sealed": {ann.id: "ü"}}, {"sealed": "INVALID_VALUE"}),
        ({"version": 1, "sealed": [ann.id]}, {"sealed": "INVALID_FORMAT"}),
        ({"version": 1, "sealed": {"x": "x"}}, {"sealed": "INVALID_FORMAT"}),
        ({"version": 1, "sealed": {"": "x"}}, {"sealed": "INVALID_FORMAT"}),
        ({"version": 1, "sealed": {ann.id: None}}, {"sealed[...]": "INVALID_FORMAT"}),
    ):
        answer = await chatrooms.ask("POST", path, as_=ann, json=body)
        assert wrong_fields(answer) == {field: f"VALIDATION_{code}" for field, code in expected.items()}
    for wrong in (eve.id, NOBODY, room, STRANGE_UUID):
        answer = await chatrooms.ask("POST", path, as_=ann, json={"version": 1, "sealed": {wrong: "x"}})
        assert refused(answer, 404, "RESOURCE_NOT_FOUND") == {"what": "member"}
    answer = await chatrooms.ask("GET", path, as_=ann, query={"above": -1})
    assert wrong_fields(answer) == {"above": "VALIDATION_INVALID_VALUE"}
    body = {"version": 1, "sealed": {eve.id: "x"}}
    refused(await chatrooms.ask("POST", path, as_=eve, json=body), 403, "CHATROOM_ACCESS_DENIED")


# --- the server holds the keys ------------------------------------------------------------------------------------


async def test_the_server_seals_its_keys_for_who_has_a_public_key(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann", public_key=PUBLIC)
    bob = await chatrooms.person("bob")
    room = await chatrooms.chatroom(ann, bob, key_custody="server")
    held = await keys(chatrooms, ann, room)
    assert (held["key_custody"], held["current_version"]) == ("server", 1)
    [sealed] = held["keys"]
    assert (sealed["version"], sealed["sealed_by"], len(opened(sealed["sealed_key"]))) == (1, None, 32)
    answer = await chatrooms.ask("GET", f"/chatrooms/{room}/keys", as_=bob)
    assert refused(answer, 409, "RESOURCE_ALREADY_EXISTS") == {"what": "public_key"}
    body = {"version": 2, "sealed": {ann.id: "x"}}
    answer = await chatrooms.ask("POST", f"/chatrooms/{room}/keys", as_=ann, json=body)
    assert refused(answer, 409, "RESOURCE_ALREADY_EXISTS") == {"what": "custody"}


async def test_what_is_encrypted_with_the_servers_key_is_found_and_comes_back_as_it_was(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann", public_key=PUBLIC)
    room = await chatrooms.chatroom(ann, key_custody="server")
    key = opened((await keys(chatrooms, ann, room))["keys"][0]["sealed_key"])
    content = encrypted(key, "green tea")
    sent = await chatrooms.send(ann, room, content=content)
    assert sent["content"] == content
    found = succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/search", as_=ann, json={"query": "green"}))
    assert [each["message"] for each in found["results"]] == [sent]
    assert not found["encrypted_left_out"]
    path = f"/chatrooms/{room}/messages/{sent['id']}"
    edited = await chatrooms.ask("PUT", path, as_=ann, json={"content": encrypted(key, "black tea")})
    assert succeeded(edited)["message"]["edited_at"] is not None


async def test_what_is_not_encrypted_with_the_servers_key_is_refused(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann", public_key=PUBLIC)
    room = await chatrooms.chatroom(ann, key_custody="server")
    key = opened((await keys(chatrooms, ann, room))["keys"][0]["sealed_key"])
    message = await chatrooms.send(ann, room, "plain text is taken")
    good = encrypted(key, "tea")
    for content in (
        encrypted(secrets.token_bytes(32), "tea"),
        encrypted(key, "tea", version=2),
        encrypted(key, ""),
        {**good, "iv": ""},
        {**good, "iv": "aXY="},
        {**good, "encrypted_data": "not Base64!"},
        {**good, "encrypted_data": str(good["encrypted_data"])[4:]},
    ):
        for method, below in (("POST", ""), ("PUT", f"/{message['id']}")):
            answer = await chatrooms.ask(
                method, f"/chatrooms/{room}/messages{below}", as_=ann, json={"content": content}
            )
            refused(answer, 422, "MESSAGE_ENCRYPTION_FAILED")
    answer = await chatrooms.ask(
        "POST", f"/chatrooms/{room}/messages", as_=ann, json={"content": encrypted(key, "x" * 4001)}
    )
    assert wrong_fields(answer) == {"content": "VALIDATION_LENGTH_EXCEEDED"}
    refused(answer, 422, "MESSAGE_TOO_LONG")


async def test_a_leaving_makes_the_next_version_which_the_leaver_never_gets(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann", public_key=PUBLIC)
    bob = await chatrooms.person("bob", public_key=PUBLIC)
    room = await chatrooms.chatroom(ann, bob, key_custody="server")
    [first] = (await keys(chatrooms, bob, room))["keys"]
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/members/{bob.id}", as_=ann))
    held = await keys(chatrooms, ann, room)
    assert [each["version"] for each in held["keys"]] == [1, 2]
    assert held["current_version"] == 2
    assert opened(held["keys"][0]["sealed_key"]) == opened(first["sealed_key"]) != opened(held["keys"][1]["sealed_key"])
    refused(await chatrooms.ask("GET", f"/chatrooms/{room}/keys", as_=bob), 403, "CHATROOM_ACCESS_DENIED")
