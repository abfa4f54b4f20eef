"""The server's master key: where it comes from, and who can read it."""

import base64
import stat
from pathlib import Path

import pytest

from chinwag.engine.encryption.room_crypto import MasterKey
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import RoomKey
from chinwag.http.security.secret_files import BadSecret, load_master_key

RAW = bytes(range(32))


def loaded(data_dir: Path, environ: dict[str, str]) -> MasterKey:
    key = load_master_key(data_dir, environ)
    assert key is not None
    return key


def same(one: MasterKey, other: MasterKey) -> bool:
    """Whether what one seals the other opens."""
    room = RoomId(1)
    sealed = one.seal(room, 1, bytes(32))
    return other.open(RoomKey(room_id=room, version=1, sealed=sealed, created_us=0)) == bytes(32)


def test_the_master_key_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = loaded(tmp_path, {})
    assert same(made, loaded(tmp_path, {}))
    [file] = tmp_path.iterdir()
    assert file.name == "master-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_file_can_be_moved_into_the_environment_as_it_is(tmp_path: Path) -> None:
    made = loaded(tmp_path, {})
    content = (tmp_path / "master-key").read_text()
    other = tmp_path / "other"
    other.mkdir()
    assert same(made, loaded(other, {"CHINWAG_MASTER_KEY": content}))


@pytest.mark.parametrize("text", [RAW.hex(), base64.b64encode(RAW).decode()])
def test_the_master_key_of_the_environment_comes_first_and_leaves_no_file(tmp_path: Path, text: str) -> None:
    assert same(loaded(tmp_path, {"CHINWAG_MASTER_KEY": text}), MasterKey(RAW))
    assert not list(tmp_path.iterdir())


def test_a_server_can_be_told_to_do_without(tmp_path: Path) -> None:
    assert load_master_key(tmp_path, {"CHINWAG_MASTER_KEY": "none"}) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("short", "CHINWAG_MASTER_KEY: a master key is Base64 or 64 hexadecimal digits"),
        (base64.b64encode(RAW[1:]).decode(), "CHINWAG_MASTER_KEY: a master key has 32 bytes, not 31"),
        ("ключ", "CHINWAG_MASTER_KEY: a master key is Base64"),
    ],
)
def test_a_wrong_master_key_of_the_environment_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadSecret, match=reason):
        load_master_key(tmp_path, {"CHINWAG_MASTER_KEY": text})


@pytest.mark.parametrize("content", [b"", b"short", RAW, bytes(range(224, 256))])
def test_a_damaged_master_key_file_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "master-key").write_bytes(content)
    with pytest.raises(BadSecret, match="master-key: a master key"):
        load_master_key(tmp_path, {})
    assert (tmp_path / "master-key").read_bytes() == content
