"""A data folder that is full: writes are refused clearly, reads go on, and writes too when there is space again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.e2e.client import Api, Person, api_of, error_of
from tests.e2e.hostile import ATTACHMENTS
from tests.e2e.processes import LIMIT_S, serving
from tests.forks import run_forked

SIZE = "3m"
BALLAST_BYTES = 1024 * 1024


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full, with something on it that can be thrown away."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip(
            "only root on Linux may mount a small file system; the driver's own tests limit the database's size"
        )
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        (disk / "ballast").write_bytes(bytes(BALLAST_BYTES))
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def use_up(disk: Path) -> None:
    """Leave not a single byte."""
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


async def fill_the_disk(api: Api, author: Person, room: str, disk: Path) -> list[str]:
    """Post until the server refuses; the ids of what it took."""
    taken: list[str] = []
    while True:
        body = {"content": f"{len(taken)}", "attachments": ATTACHMENTS}
        answer = await api.ask("POST", f"/rooms/{room}/messages", as_=author, json=body)
        if answer.status_code != 201:
            assert answer.status_code == 503
            assert error_of(answer)
            assert int(answer.headers["retry-after"]) >= 1
            use_up(disk)
            return taken
        taken.append(answer.json()["id"])


async def test_a_full_disk_refuses_writes_and_loses_nothing(tiny_disk: Path) -> None:
    """The server's log is on that disk, too (`serving` puts it beside the data)."""
    with serving(tiny_disk / "data") as server:
        async with api_of(server) as api:
            ann, bob = await api.person("ann"), await api.person("bob")
            room = await api.room(ann, bob)
            with trio.fail_after(LIMIT_S):
                async with api.socket(bob, room) as listener:
                    taken = await fill_the_disk(api, ann, room, tiny_disk)
                    assert len(taken) > 10

                    # Nobody heard of what was refused; reads go on.
                    assert [event["data"]["id"] for event in await listener.fence()] == taken
                    assert [message["id"] for message in await api.history(bob, room)] == taken[::-1]
                    assert (await api.ask("GET", "/rooms", as_=bob)).status_code == 200
                    assert await api.healthy()

                    async with api.socket(ann, room) as sender:
                        await sender.send(
                            "send_message", room_id=room, content="!", attachments=ATTACHMENTS, client_id="late"
                        )
                        error = await sender.expect("error")
                        assert (error["code"], error["client_id"]) == ("store_unavailable", "late")

                        (tiny_disk / "ballast").unlink()
                        await sender.send(
                            "send_message", room_id=room, content="!", attachments=ATTACHMENTS, client_id="late"
                        )
                        taken.append((await sender.expect("receive_message"))["id"])
                    taken.append((await api.post(bob, room, "there is space again"))["id"])
                    assert [event["data"]["id"] for event in await listener.fence()] == taken[-2:]
    with serving(tiny_disk / "data") as server:
        async with api_of(server) as api:
            assert [message["id"] for message in await api.history(bob, room)] == taken[::-1]


async def test_a_server_on_a_full_disk_can_be_stopped_and_started(tiny_disk: Path) -> None:
    with serving(tiny_disk / "data") as server:
        async with api_of(server) as api:
            ann = await api.person("ann")
            room = await api.room(ann)
            taken = await fill_the_disk(api, ann, room, tiny_disk)
            server.terminate()
            assert await server.ended() == 0
    (tiny_disk / "ballast").unlink()
    with serving(tiny_disk / "data") as server:
        async with api_of(server) as api:
            assert [message["id"] for message in await api.history(ann, room)] == taken[::-1]
            assert (await api.post(ann, room, "on we go"))["content"] == "on we go"


async def test_a_disk_that_is_full_from_the_start_is_one_clear_line(tiny_disk: Path) -> None:
    use_up(tiny_disk)
    ended = run_forked("serve", "--bind", "127.0.0.1:0", "--data", str(tiny_disk / "data"))
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1 and "Traceback" not in ended.stderr, ended.stderr
