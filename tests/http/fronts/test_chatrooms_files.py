"""The chatrooms front's files: uploads, attachments, and who gets what a URL leads to."""

from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from chinwag.http.fronts.chatrooms.files import MAX_FILE_BYTES
from chinwag.http.kit.signed_urls import LIFETIME_S
from tests.http.fronts.chatrooms_api import (
    NOBODY,
    NOT_IDS,
    STRANGE_UUID,
    Chatrooms,
    picture,
    refused,
    succeeded,
    wrong_fields,
)
from tests.http.service_api import BOUNDARY, Part, Person, form

FILE = ["id", "filename", "file_type", "file_size", "encrypted_url", "thumbnail_url", "upload_date"]
ATTACHMENT = ["filename", "file_type", "file_size", "encrypted_url", "thumbnail_url"]
FORM_HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


async def uploaded(chatrooms: Chatrooms, by: Person, room: str, content: bytes = b"hello", **more: str) -> Any:
    return succeeded(await chatrooms.upload(by, room, content, **more), 201)["file"]


# --- uploading ----------------------------------------------------------------------------------------------------


async def test_an_upload_has_the_specs_fields_and_comes_back_as_it_was(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    data = succeeded(await chatrooms.upload(ann, room, b"hello", name="notes.txt"), 201)
    assert list(data) == ["file"]
    file = data["file"]
    assert list(file) == FILE
    assert (file["filename"], file["file_type"], file["file_size"]) == ("notes.txt", "text/plain", 5)
    assert file["thumbnail_url"] is None
    got = await chatrooms.get(file["encrypted_url"])
    assert (got.status, got.body) == (200, b"hello")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "notes.txt" in got.headers["content-disposition"]
    refused(await chatrooms.get(f"/files/{file['id']}/thumbnail", as_=ann), 404, "FILE_NOT_FOUND")


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("می\u200cخواهم.pdf", "می\u200cخواهم.pdf"),
        ("👨\u200d👩\u200d👧.jpg", "👨\u200d👩\u200d👧.jpg"),
        ("=?utf-8?B?5paw6IGe?=\"; filename*=\"utf-8''%E6%96%B0%E8%81%9E", "新聞"),
        ("..\\a\u202egpj.exe", "agpj.exe"),
        ("\u3164\u200d", "file"),
    ],
)
async def test_a_file_keeps_its_name_but_for_what_is_not_seen(chatrooms: Chatrooms, sent: str, name: str) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    file = await uploaded(chatrooms, ann, room, name=sent)
    assert file["filename"] == name
    got = await chatrooms.get(file["encrypted_url"])
    assert got.headers["content-disposition"].endswith(f"filename*=UTF-8''{quote(name, safe='')}")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP"])
async def test_an_image_has_a_thumbnail_and_its_type_is_what_it_is(chatrooms: Chatrooms, kind: str) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    file = await uploaded(chatrooms, ann, room, picture(kind, (1200, 900)), name="lies.txt")
    assert file["file_type"] == f"image/{kind.lower()}"
    small = await chatrooms.get(file["thumbnail_url"])
    assert small.status == 200
    assert small.headers["content-type"] in ("image/png", "image/jpeg")
    assert small.body != (await chatrooms.get(file["encrypted_url"])).body


async def test_an_upload_lists_what_is_missing(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    answer = await chatrooms.upload(ann, None, b"hello")
    assert wrong_fields(answer) == {"chatroom_id": "VALIDATION_REQUIRED_FIELD"}
    answer = await chatrooms.ask("POST", "/upload/file", as_=ann, parts=[Part("chatroom_id", room)])
    assert wrong_fields(answer) == {"file": "VALIDATION_REQUIRED_FIELD"}
    answer = await chatrooms.upload(ann, room, b"")
    assert wrong_fields(answer) == {"file": "VALIDATION_INVALID_VALUE"}
    for wrong in ("", "x", "4096"):
        assert list(wrong_fields(await chatrooms.upload(ann, wrong, b"hello"))) == ["chatroom_id"]


async def test_an_upload_that_is_no_whole_form_has_failed(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    whole = form([Part("chatroom_id", room), Part("file", b"hello", "a.txt")])
    for body, headers in (
        (whole[:-6], FORM_HEADERS),
        (whole[: len(whole) // 2], FORM_HEADERS),
        (b"", FORM_HEADERS),
        (b"nonsense", FORM_HEADERS),
        (whole, {}),
        (whole, {"content-type": "application/json"}),
        (whole, {"content-type": "multipart/form-data"}),
        (whole, {"content-type": "multipart/form-data; boundary=" + "x" * 71}),
    ):
        answer = await chatrooms.ask("POST", "/upload/file", as_=ann, body=body, headers=headers)
        refused(answer, 400, "FILE_UPLOAD_FAILED")


async def test_a_file_is_uploaded_into_a_chatroom_of_ones_own(chatrooms: Chatrooms) -> None:
    ann, eve = await chatrooms.people("ann", "eve")
    room = await chatrooms.chatroom(ann)
    refused(await chatrooms.upload(eve, room, b"hello"), 403, "CHATROOM_ACCESS_DENIED")
    for wrong in (NOBODY, ann.id):
        refused(await chatrooms.upload(ann, wrong, b"hello"), 404, "CHATROOM_NOT_FOUND")


async def test_executables_are_refused_by_their_content(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    for content in (b"MZ\x90\0" + bytes(100), b"\x7fELF" + bytes(100), b"#!/bin/sh\nrm -rf /\n"):
        refused(await chatrooms.upload(ann, room, content, name="cat.png"), 422, "FILE_TYPE_NOT_ALLOWED")


async def test_a_file_has_at_most_10_mb(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    file = await uploaded(chatrooms, ann, room, bytes(MAX_FILE_BYTES))
    assert file["file_size"] == MAX_FILE_BYTES == 10 * 1024 * 1024
    for size in (MAX_FILE_BYTES + 1, 2 * MAX_FILE_BYTES):
        refused(await chatrooms.upload(ann, room, bytes(size)), 413, "FILE_TOO_LARGE")


# --- attachments --------------------------------------------------------------------------------------------------


async def test_a_message_shows_its_files_and_each_viewer_gets_urls_of_their_own(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    files = [await uploaded(chatrooms, ann, room, each) for each in (picture(), b"hello")]
    ids = [each["id"] for each in files]
    sent = await chatrooms.send(ann, room, "look", message_type="image", attachments=ids)
    assert [list(each) for each in sent["attachments"]] == [ATTACHMENT] * 2
    for attachment, file in zip(sent["attachments"], files, strict=True):
        for name in ("filename", "file_type", "file_size"):
            assert attachment[name] == file[name]
    assert [each["thumbnail_url"] is None for each in sent["attachments"]] == [False, True]
    [seen] = succeeded(await chatrooms.ask("GET", f"/chatrooms/{room}/messages", as_=bob, query={"limit": 1}))[
        "messages"
    ]
    found = succeeded(await chatrooms.ask("POST", f"/chatrooms/{room}/search", as_=bob, json={"query": "look"}))
    for message in (seen, found["results"][0]["message"]):
        for mine, theirs in zip(message["attachments"], sent["attachments"], strict=True):
            assert mine["encrypted_url"] != theirs["encrypted_url"]
            assert parse_qs(mine["encrypted_url"].partition("?")[2])["user"] == [bob.id]
            assert (await chatrooms.get(mine["encrypted_url"])).status == 200


async def test_only_ones_own_files_of_that_chatroom_are_attached(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room, other = [await chatrooms.chatroom(ann, bob) for _ in range(2)]
    bobs = await uploaded(chatrooms, bob, room)
    elsewhere = await uploaded(chatrooms, ann, other)
    for wrong in (bobs["id"], elsewhere["id"], NOBODY, room, ann.id, STRANGE_UUID):
        body = {"content": {"encrypted_data": "look"}, "attachments": [wrong]}
        answer = await chatrooms.ask("POST", f"/chatrooms/{room}/messages", as_=ann, json=body)
        refused(answer, 404, "FILE_NOT_FOUND")


# --- who gets a file ----------------------------------------------------------------------------------------------


async def test_a_signed_url_is_good_for_an_hour_for_this_file_and_this_viewer(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    file, other = await uploaded(chatrooms, ann, room, picture()), await uploaded(chatrooms, ann, room)
    url = file["encrypted_url"]
    path, _, query = url.partition("?")
    chatrooms.clock.now += LIFETIME_S - 1
    assert (await chatrooms.get(url)).status == 200
    for forged in (
        url.replace(ann.id, bob.id),
        url.replace(ann.id, "x"),
        url.replace("expires=2", "expires=3"),
        url.replace("expires=", "expires=-"),
        url.replace("expires=", "expires=" + "9" * 20),
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        path + "?signature=" + query.partition("signature=")[2],
        other["encrypted_url"].partition("?")[0] + "?" + query,
        path + "/thumbnail?" + query,
    ):
        refused(await chatrooms.get(forged), 401, "AUTH_TOKEN_INVALID")
    chatrooms.clock.now += 1
    answer = await chatrooms.get(url)
    assert answer.status == 401
    assert (await chatrooms.get(file["thumbnail_url"])).status == 401


async def test_who_left_gets_a_file_by_no_url_and_who_comes_back_does(chatrooms: Chatrooms) -> None:
    ann, bob = await chatrooms.people("ann", "bob")
    room = await chatrooms.chatroom(ann, bob)
    file = await uploaded(chatrooms, bob, room, picture())
    urls = (file["encrypted_url"], file["thumbnail_url"])
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}/members/{bob.id}", as_=ann))
    for url in urls:
        refused(await chatrooms.get(url), 404, "FILE_NOT_FOUND")
        refused(await chatrooms.get(url.partition("?")[0], as_=bob), 404, "FILE_NOT_FOUND")
        assert (await chatrooms.get(url.partition("?")[0], as_=ann)).status == 200
    await chatrooms.bring(ann, room, bob)
    for url in urls:
        assert (await chatrooms.get(url)).status == 200
    succeeded(await chatrooms.ask("DELETE", f"/chatrooms/{room}", as_=ann))
    for url in urls:
        refused(await chatrooms.get(url), 404, "FILE_NOT_FOUND")


async def test_without_a_signature_a_file_needs_a_members_token(chatrooms: Chatrooms) -> None:
    ann, bob, eve = await chatrooms.people("ann", "bob", "eve")
    room = await chatrooms.chatroom(ann, bob)
    path = f"/files/{(await uploaded(chatrooms, ann, room))['id']}"
    for there in (path, f"/chatrooms{path}"):
        assert (await chatrooms.ask("GET", there, as_=bob)).body == b"hello"
        assert (await chatrooms.ask("GET", there, query={"token": bob.token})).body == b"hello"
        refused(await chatrooms.ask("GET", there, as_=eve), 404, "FILE_NOT_FOUND")
        refused(await chatrooms.ask("GET", there), 401, "AUTH_TOKEN_INVALID")
        refused(await chatrooms.ask("GET", there, query={"token": "x"}), 401, "AUTH_TOKEN_INVALID")
    chatrooms.clock.now += 1800
    refused(await chatrooms.ask("GET", path, query={"token": bob.token}), 401, "AUTH_TOKEN_EXPIRED")


async def test_what_no_file_has_as_its_id_is_not_found(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    avatar = succeeded(await chatrooms.upload(ann, None, picture(), path="/users/me/avatar"))["avatar_url"]
    query = avatar.partition("?")[2]
    for wrong in (NOBODY, ann.id, room, *NOT_IDS):
        for below in ("", "/thumbnail"):
            refused(await chatrooms.ask("GET", f"/files/{wrong}{below}", as_=ann), 404, "FILE_NOT_FOUND")
        answer = await chatrooms.ask("GET", f"/avatars/{wrong}", query=query)
        assert answer.status in (401, 404), answer.body  # a signature is of one file


async def test_a_file_its_thumbnail_and_an_avatar_are_fetched_in_parts_and_not_twice(chatrooms: Chatrooms) -> None:
    ann = await chatrooms.person("ann")
    room = await chatrooms.chatroom(ann)
    file = await uploaded(chatrooms, ann, room, picture(), name="a.png")
    avatar = succeeded(await chatrooms.upload(ann, None, picture(), path="/users/me/avatar"))["avatar_url"]
    for url in (file["encrypted_url"], file["thumbnail_url"], avatar):
        whole = await chatrooms.get(url)
        size = len(whole.body)
        part = await chatrooms.get(url, headers={"range": "bytes=2-4"})
        assert (part.status, part.body, part.headers["content-range"]) == (206, whole.body[2:5], f"bytes 2-4/{size}")
        assert (await chatrooms.get(url, headers={"range": f"bytes={size}-"})).status == 416
        again = await chatrooms.get(url, headers={"if-none-match": whole.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        path, _, query = url.partition("?")
        head = await chatrooms.ask("HEAD", path, query=query)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(size))
