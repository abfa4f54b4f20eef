"""Encrypted messages over real servers, with a client that has its own keys and knows the documentation only."""

import base64
import os
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from chinwag.engine.model.values import ENCRYPTED_PLACEHOLDER, Sealed
from tests.e2e.chatrooms import Chatrooms, Guest, code_of, message_of, plain
from tests.e2e.client import Json
from tests.engine.encryption.rooms_with_keys import Client, decrypt, encrypt

FAILED = (422, "MESSAGE_ENCRYPTION_FAILED")


@cache
def device(name: str) -> Client:
    """A device with a pair of keys. Making one takes a while, so each is made once."""
    return Client()


async def owners_of_keys(chatrooms: Chatrooms, *words: str) -> list[Guest]:
    """People whose profile has their device's public key; it is the one that was sent."""
    people = [await chatrooms.guest(word, public_key=device(word).public_pem) for word in words]
    for word, person in zip(words, people, strict=True):
        profile = await chatrooms.get("/users/me", person)
        assert profile["public_key"].strip() == device(word).public_pem.strip()
    return people


def content_of(sealed: Sealed) -> Json:
    return {"encrypted_data": sealed.data, "iv": sealed.iv, "key_version": sealed.key_version}


def sealed_of(message: Json) -> Sealed:
    content = message["content"]
    return Sealed(data=content["encrypted_data"], iv=content["iv"], key_version=content["key_version"])


async def keys_of(chatrooms: Chatrooms, room: str, person: Guest, word: str) -> dict[int, bytes]:
    """All versions of a chatroom's key that this person's device can open."""
    ring = await chatrooms.get(f"/chatrooms/{room}/keys", person)
    assert set(ring) == {"key_custody", "current_version", "keys", "public_keys"}
    opened = {each["version"]: device(word).unseal(each["sealed_key"]) for each in ring["keys"]}
    assert ring["current_version"] == max(opened, default=0)
    assert all(len(key) == 32 for key in opened.values())
    return opened


async def found(chatrooms: Chatrooms, room: str, person: Guest, query: str) -> tuple[list[Json], bool]:
    """The messages that a search finds, and whether some could not be searched."""
    data = await chatrooms.do("POST", f"/chatrooms/{room}/search", person, {"query": query})
    return [each["message"] for each in data["results"]], data["encrypted_left_out"]


async def elsewhere(chatrooms: Chatrooms, room: str, person: Guest) -> list[str]:
    """The texts that ChatterStack's API shows, oldest first."""
    messages = await chatrooms.chatterstack.history(
        await chatrooms.elsewhere(person), await chatrooms.number(room, person)
    )
    return [message["content"] for message in messages[::-1]]


# --- client custody ---------------------------------------------------------------------------------------------------


async def test_two_members_exchange_a_key_that_the_server_never_sees(chatrooms: Chatrooms) -> None:
    ann, bob = await owners_of_keys(chatrooms, "ann", "bob")
    room = await chatrooms.room(ann, bob, is_private=False, key_custody="client")
    ring = await chatrooms.get(f"/chatrooms/{room}/keys", ann)
    assert (ring["key_custody"], ring["current_version"], ring["keys"]) == ("client", 0, [])
    assert set(ring["public_keys"]) == {ann.id, bob.id}
    key = os.urandom(32)
    sealed_for = {person: seal(pem, key) for person, pem in ring["public_keys"].items()}
    async with chatrooms.socket(bob, room) as socket:
        await chatrooms.do("POST", f"/chatrooms/{room}/keys", ann, {"version": 1, "sealed": sealed_for})
        assert await socket.expect("room_key_changed") == {"chatroom_id": room, "key_version": 1}
        again = await chatrooms.ask(
            "POST", f"/chatrooms/{room}/keys", as_=bob, json={"version": 1, "sealed": sealed_for}
        )
        assert again.status_code == 409  # who comes second goes on with the first one's
        assert await keys_of(chatrooms, room, bob, "bob") == {1: key}
        [held] = (await chatrooms.get(f"/chatrooms/{room}/keys", bob))["keys"]
        assert (held["sealed_by"], held["sealed_key"]) == (ann.id, sealed_for[bob.id])
        sent = encrypt(key, "Only for us ☕", version=1)
        await chatrooms.post(ann, room, "the word tea in the open")
        await socket.messages(1)
        message = message_of(
            await chatrooms.ask(
                "POST", f"/chatrooms/{room}/messages", as_=ann, json={"content": content_of(sent), "client_id": "c"}
            ),
            201,
        )
        assert await socket.messages(1) == [message]
    assert sealed_of(message) == sent  # bit for bit
    assert decrypt(key, sealed_of(message)) == "Only for us ☕"
    texts = [each for each in await chatrooms.history(bob, room) if each["message_type"] == "text"]
    assert texts[-1] == message
    assert (await found(chatrooms, room, bob, "only us open"))[0] == texts[:1]
    assert (await found(chatrooms, room, bob, "only"))[1] is True
    shown = await elsewhere(chatrooms, room, bob)
    assert shown[-1] == ENCRYPTED_PLACEHOLDER
    assert not any("Only for us" in text for text in shown)
    summary = (await chatrooms.do("POST", f"/chatrooms/{room}/summary", bob, {}))["summary"]
    assert (summary["encrypted_left_out"], summary["message_count"]) == (1, 1)
    assert "Only for us" not in summary["summary_text"]


def seal(pem: str, key: bytes) -> str:
    """As the documentation has it for server custody; members may agree on anything."""
    public = serialization.load_pem_public_key(pem.encode())
    assert isinstance(public, rsa.RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    return base64.b64encode(public.encrypt(key, oaep)).decode()


async def test_what_no_server_can_check_is_returned_bit_for_bit(chatrooms: Chatrooms) -> None:
    [ann] = await owners_of_keys(chatrooms, "ann")
    room = await chatrooms.room(ann, key_custody="client")
    sealed = {ann.id: "whatever members agree on"}
    await chatrooms.do("POST", f"/chatrooms/{room}/keys", ann, {"version": 1, "sealed": sealed})
    async with chatrooms.socket(ann, room) as socket:
        for data, iv in (("  not Base64 ✓ \n\t", "~"), ("AA==", ""), ("x" * 21_356, "i" * 64), ("é" * 5_000, "é")):
            content = {"encrypted_data": data, "iv": iv, "key_version": 1}
            await socket.send("send_message", chatroom_id=room, content=content)
            [message] = await socket.messages(1)
            assert message["content"] == content
            shown = await chatrooms.get(f"/chatrooms/{room}/messages/{message['id']}", ann)
            assert shown["message"] == message


async def test_strangers_get_no_keys_and_store_none(chatrooms: Chatrooms) -> None:
    ann, eve = await owners_of_keys(chatrooms, "ann", "eve")
    for custody in ("client", "server"):
        room = await chatrooms.room(ann, key_custody=custody)
        body = {"version": 1, "sealed": {ann.id: "mine", eve.id: "hers"}}
        for method, json in (("GET", None), ("POST", body)):
            answer = await chatrooms.ask(method, f"/chatrooms/{room}/keys", as_=eve, json=json)
            assert (answer.status_code, code_of(answer)) == (403, "CHATROOM_ACCESS_DENIED")


# --- server custody ---------------------------------------------------------------------------------------------------


async def test_what_is_encrypted_for_the_server_is_read_by_search_and_by_the_other_apis(chatrooms: Chatrooms) -> None:
    ann, bob = await owners_of_keys(chatrooms, "ann", "bob")
    room = await chatrooms.room(ann, bob, key_custody="server")
    key = (await keys_of(chatrooms, room, ann, "ann"))[1]
    assert await keys_of(chatrooms, room, bob, "bob") == {1: key}
    async with chatrooms.socket(ann, room) as mine, chatrooms.socket(bob, room) as his:
        sent = encrypt(key, "Shall we meet for tea? ☕")
        await mine.send("send_message", chatroom_id=room, content=content_of(sent), client_id="c")
        [message] = await mine.messages(1)
        assert await his.messages(1) == [message]
        assert sealed_of(message) == sent
        assert decrypt(key, sealed_of(message)) == "Shall we meet for tea? ☕"
        await mine.send("send_message", chatroom_id=room, content=content_of(sent), client_id="c")
        assert await mine.messages(1) == [message]  # a retry
        other = encrypt(key, "Coffee, then")
        edited = message_of(
            await chatrooms.ask(
                "PUT",
                f"/chatrooms/{room}/messages/{message['id']}",
                as_=ann,
                json={"content": content_of(other)},
            )
        )
        assert sealed_of(edited) == other
        assert (await his.expect("message_edited"))["message"] == edited
        await mine.expect("message_edited")
    assert await found(chatrooms, room, bob, "coffee") == ([edited], False)
    assert await found(chatrooms, room, bob, "tea") == ([], False)
    assert (await elsewhere(chatrooms, room, bob))[-1] == "Coffee, then"
    assert (await chatrooms.history(bob, room))[-1] == edited
    listed = (await chatrooms.get("/chatrooms", bob))["chatrooms"][0]
    assert listed["last_message"]["content"] == other.data


async def test_whatever_was_tampered_with_is_refused_and_not_posted(chatrooms: Chatrooms) -> None:
    [ann] = await owners_of_keys(chatrooms, "ann")
    room, second = [await chatrooms.room(ann, key_custody="server") for _ in range(2)]
    key = (await keys_of(chatrooms, room, ann, "ann"))[1]
    good = content_of(encrypt(key, "untouched"))
    raw = base64.b64decode(good["encrypted_data"])

    def flipped(data: bytes, at: int) -> str:
        return base64.b64encode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]).decode()

    bad: list[Json] = [
        *({**good, "encrypted_data": flipped(raw, at)} for at in (0, len(raw) // 2, len(raw) - 1)),
        {**good, "encrypted_data": base64.b64encode(raw[:-1]).decode()},
        {**good, "encrypted_data": base64.b64encode(raw[:15]).decode()},
        {**good, "encrypted_data": "not Base64!"},
        {**good, "encrypted_data": good["encrypted_data"] + "\n"},
        {**good, "iv": base64.b64encode(os.urandom(12)).decode()},
        {**good, "iv": base64.b64encode(os.urandom(16)).decode()},
        {**good, "iv": ""},
        {**good, "key_version": 2},
        content_of(encrypt((await keys_of(chatrooms, second, ann, "ann"))[1], "of another chatroom")),
        content_of(encrypt(key, b"\xff\xfe no UTF-8")),
        content_of(encrypt(key, "")),
    ]
    before = await chatrooms.history(ann, room)
    async with chatrooms.socket(ann, room) as socket:
        for content in bad:
            answer = await chatrooms.ask(
                "POST", f"/chatrooms/{room}/messages", as_=ann, json={"content": content, "client_id": "c"}
            )
            assert (answer.status_code, code_of(answer)) == FAILED, (content, answer.text)
            await socket.send("send_message", chatroom_id=room, content=content, client_id="c")
            error = await socket.refused()
            assert error["code"] == FAILED[1], (content, error)
            assert (error["details"]["chatroom_id"], error["details"]["client_id"]) == (room, "c")
        assert await chatrooms.history(ann, room) == before
        await socket.send("send_message", chatroom_id=room, content=good, client_id="c")
        assert [each["content"] for each in await socket.messages(1)] == [good]
        answer = await chatrooms.ask(
            "PUT",
            f"/chatrooms/{room}/messages/{(await chatrooms.history(ann, room))[-1]['id']}",
            as_=ann,
            json={"content": bad[0]},
        )
        assert (answer.status_code, code_of(answer)) == FAILED
        assert await socket.fence() == []


async def test_who_left_gets_no_key_of_what_is_written_afterwards(chatrooms: Chatrooms) -> None:
    ann, bob, cleo = await owners_of_keys(chatrooms, "ann", "bob", "cleo")
    room = await chatrooms.room(ann, bob, cleo, key_custody="server")
    async with chatrooms.socket(ann, room) as socket:
        for version, leave in (
            (2, ("POST", f"/chatrooms/{room}/leave", bob)),
            (3, ("DELETE", f"/chatrooms/{room}/members/{cleo.id}", ann)),
        ):
            await chatrooms.do(*leave)
            events = await socket.fence()
            assert {"event": "room_key_changed", "data": {"chatroom_id": room, "key_version": version}} in events
            assert {each["event"] for each in events} == {"message_received", "user_left", "room_key_changed"}
        keys = await keys_of(chatrooms, room, ann, "ann")
        assert sorted(keys) == [1, 2, 3] and len(set(keys.values())) == 3
        for person in (bob, cleo):
            answer = await chatrooms.ask("GET", f"/chatrooms/{room}/keys", as_=person)
            assert (answer.status_code, code_of(answer)) == (403, "CHATROOM_ACCESS_DENIED")
        newer = await chatrooms.get(f"/chatrooms/{room}/keys", ann, above=1)
        assert [each["version"] for each in newer["keys"]] == [2, 3]
        assert set(newer["public_keys"]) == {ann.id}
        for version, taken in ((3, True), (2, True), (1, False)):  # the one before may have been under way
            sent = content_of(encrypt(keys[version], f"with version {version}", version=version))
            await socket.send("send_message", chatroom_id=room, content=sent)
            if taken:
                assert [each["content"] for each in await socket.messages(1)] == [sent]
            else:
                assert (await socket.refused())["code"] == FAILED[1]


async def test_who_has_no_public_key_is_told_so_and_may_write_in_plain(chatrooms: Chatrooms) -> None:
    dora = await chatrooms.guest("dora")
    room = await chatrooms.room(dora, key_custody="server")
    answer = await chatrooms.ask("GET", f"/chatrooms/{room}/keys", as_=dora)
    assert answer.status_code == 409
    assert (await chatrooms.post(dora, room, "in plain"))["content"] == plain("in plain")
    await chatrooms.do("PUT", "/users/me", dora, {"public_key": device("dora").public_pem})
    assert sorted(await keys_of(chatrooms, room, dora, "dora")) == [1]


@pytest.mark.parametrize("custody", ["client", "server"])
async def test_the_detail_of_a_chatroom_names_its_custody(chatrooms: Chatrooms, custody: str) -> None:
    ann = await chatrooms.guest("ann")
    room = await chatrooms.room(ann, key_custody=custody)
    chatroom = (await chatrooms.get(f"/chatrooms/{room}", ann))["chatroom"]
    assert (chatroom["encryption_enabled"], chatroom["key_custody"]) == (True, custody)
