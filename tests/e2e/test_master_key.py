"""The master key of a server: made at its first start, and refused when it is another one."""

from pathlib import Path

import trio

from chinwag.engine.engine import open_engine
from chinwag.engine.model.values import KeyCustody
from chinwag.http.security.secret_files import load_master_key
from chinwag.persistence import open_sqlite_store
from tests.e2e.processes import CHINWAG, run, serving
from tests.forks import environment


def make_room_in_server_custody(data: Path) -> None:
    async def make() -> None:
        async with (
            open_sqlite_store(data / "chinwag.db") as store,
            open_engine(store, master_key=load_master_key(data, {})) as engine,
        ):
            ann = await engine.accounts.register(username="ann", email=None, password="correct-horse")
            await engine.rooms.create(ann.id, name="tea", custody=KeyCustody.SERVER)

    trio.run(make)


def test_a_server_refuses_another_master_key_and_can_be_told_to_do_without(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data):
        pass
    made = (data / "master-key").read_text()
    make_room_in_server_custody(data)
    with serving(data):
        pass
    assert (data / "master-key").read_text() == made
    for key, reason in (("00" * 32, "is not the one that this data was made with"), ("short", "CHINWAG_MASTER_KEY: ")):
        command = [CHINWAG, "serve", "--bind", "127.0.0.1:0", "--data", str(data)]
        ended = run(command, env=environment(CHINWAG_MASTER_KEY=key))
        assert ended.returncode == 1
        [line] = ended.stderr.splitlines()
        assert reason in line
    for key in (made, "none"):
        with serving(data, env=environment(CHINWAG_MASTER_KEY=key)):
            pass
