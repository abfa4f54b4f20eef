"""The cryptography of rooms: what is sealed opens as itself alone, and a client needs only the standards for it."""

import base64
from functools import cache

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chinwag.engine.encryption.room_crypto import (
    MasterKey,
    PublicKey,
    WrongMasterKey,
    check_public_key,
    decrypt,
    make_key,
)
from chinwag.engine.model.errors import CannotDecrypt, Invalid
from chinwag.engine.model.ids import MAX_ID, RoomId
from chinwag.engine.model.keys import encrypted_characters
from chinwag.engine.model.values import RoomKey, Sealed
from tests.engine.encryption import rooms_with_keys as encryption
from tests.examples import examples

MASTER = MasterKey(bytes(range(32)))
KEY = bytes(range(100, 132))
ROOM = RoomId(77)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@cache
def client(bits: int = 2048) -> encryption.Client:
    return encryption.Client(bits)


def stored(version: int = 3) -> RoomKey:
    return RoomKey(room_id=ROOM, version=version, sealed=MASTER.seal(ROOM, version, KEY), created_us=5)


# --- the master key ---


def test_a_sealed_room_key_opens_and_shows_nothing_of_itself() -> None:
    key = stored()
    assert MASTER.open(key) == KEY
    assert KEY not in key.sealed
    assert stored().sealed != key.sealed  # a nonce of its own each time


@settings(max_examples=examples(100))
@given(st.integers(1, MAX_ID), st.integers(1, 2**31 - 1), st.binary(min_size=32, max_size=32))
def test_whatever_is_sealed_opens_bit_for_bit(room_id: int, version: int, key: bytes) -> None:
    sealed = MASTER.seal(RoomId(room_id), version, key)
    assert MASTER.open(RoomKey(room_id=RoomId(room_id), version=version, sealed=sealed, created_us=0)) == key


def test_a_room_key_opens_neither_as_another_rooms_nor_as_another_version() -> None:
    for other in (replace(stored(), room_id=RoomId(78)), replace(stored(), version=4)):
        with pytest.raises(WrongMasterKey):
            MASTER.open(other)


def test_another_master_key_is_told_so_and_yields_no_garbage() -> None:
    with pytest.raises(WrongMasterKey, match="version 3 of the key of room 77"):
        MasterKey(bytes(32)).open(stored())


def test_every_bit_of_a_sealed_room_key_counts() -> None:
    key = stored()
    for at in range(len(key.sealed)):
        changed = bytearray(key.sealed)
        changed[at] ^= 1
        with pytest.raises(WrongMasterKey):
            MASTER.open(replace(key, sealed=bytes(changed)))
    for cut in (0, 5, 12, 27, len(key.sealed) - 1):
        with pytest.raises(WrongMasterKey):
            MASTER.open(replace(key, sealed=key.sealed[:cut]))


def test_a_master_key_is_read_from_base64_or_hexadecimal_digits() -> None:
    raw = bytes(range(32))
    for text in (raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode(), f" {raw.hex()}\n"):
        assert MasterKey.parse(text).open(stored()) == KEY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "32 bytes, not 0"),
        (base64.b64encode(bytes(31)).decode(), "32 bytes, not 31"),
        (base64.b64encode(bytes(33)).decode(), "32 bytes, not 33"),
        (bytes(16).hex(), "32 bytes, not 24"),  # digits are Base64 too
        ("correct horse battery staple", "Base64 or 64 hexadecimal digits"),
        ("g" * 64, "Base64 or 64 hexadecimal digits"),
        ("é" * 64, "Base64 or 64 hexadecimal digits"),
    ],
)
def test_any_other_text_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        MasterKey.parse(text)


def test_a_master_key_does_not_show_itself() -> None:
    assert bytes(range(32)).hex() not in repr(MASTER)
    with pytest.raises(ValueError, match="has 32 bytes, not 16"):
        MasterKey(bytes(16))


def test_no_two_keys_are_the_same() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {32}


# --- public keys ---


@pytest.mark.parametrize("bits", [2048, 3072])
def test_a_client_opens_what_was_sealed_for_it(bits: int) -> None:
    device = client(bits)
    assert device.unseal(PublicKey(device.public_pem).seal(KEY)) == KEY


def test_only_the_right_device_opens_it() -> None:
    with pytest.raises(ValueError, match="ecryption"):
        encryption.Client().unseal(PublicKey(client().public_pem).seal(KEY))


def test_a_public_key_has_one_normal_form() -> None:
    device = client()
    crlf = device.public_pem.replace("\n", "\r\n")
    for pem in (device.public_pem, device.pkcs1_pem, crlf, f"\n\n{device.public_pem.rstrip()}"):
        assert check_public_key(pem) == device.public_pem


def as_pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def of_numbers(exponent: int, modulus: int) -> str:
    return as_pem(rsa.RSAPublicNumbers(exponent, modulus).public_key())


ODD_MODULUS = (1 << 2047) | 1


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        pytest.param(lambda: "", "not a public key in PEM", id="nothing"),
        pytest.param(lambda: "ssh-rsa AAAAB3NzaC1yc2E=", "not a public key in PEM", id="ssh"),
        pytest.param(lambda: "-----BEGIN PUBLIC KEY-----\né\n-----END PUBLIC KEY-----", "not a public key", id="é"),
        pytest.param(lambda: "\ud800", "not a public key in PEM", id="surrogate"),
        pytest.param(lambda: client().public_pem[:200], "not a public key in PEM", id="cut"),
        pytest.param(lambda: client().public_pem.replace("A", "B"), "public key", id="damaged"),
        pytest.param(lambda: client().private_pem, "is a private key", id="private"),
        pytest.param(lambda: client(1024).public_pem, "has 1024 bits, 2048 to 8192", id="short"),
        pytest.param(lambda: of_numbers(65537, (1 << 8199) | 1), "has 8200 bits", id="long"),
        pytest.param(lambda: of_numbers(65537, ODD_MODULUS - 1), "does not encrypt", id="even modulus"),
        pytest.param(lambda: of_numbers(2**64 + 1, ODD_MODULUS), "large exponent", id="exponent"),
        pytest.param(lambda: as_pem(ec.generate_private_key(ec.SECP256R1()).public_key()), "not an RSA", id="ec"),
        pytest.param(lambda: "x" * 4097, "more than 4096 characters", id="huge"),
    ],
)
def test_any_other_key_is_refused_with_the_reason(pem: object, reason: str) -> None:
    assert callable(pem)
    with pytest.raises(Invalid, match=reason) as refused:
        check_public_key(pem())
    assert refused.value.field == "public_key"


@settings(max_examples=examples(100))
@given(st.text())
def test_no_text_breaks_the_check(text: str) -> None:
    with pytest.raises(Invalid):
        check_public_key(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")


# --- messages ---


@settings(max_examples=examples(100))
@given(TEXTS, st.binary(min_size=32, max_size=32), st.binary(min_size=12, max_size=12))
def test_what_any_client_encrypts_is_read(text: str, key: bytes, iv: bytes) -> None:
    assert decrypt(key, encryption.encrypt(key, text, iv=iv)) == text


def flipped(text: str) -> list[str]:
    """The Base64 text with one bit of what it stands for changed, for each byte."""
    raw = base64.b64decode(text)
    changed = (raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw)))
    return [base64.b64encode(each).decode() for each in changed]


def test_every_byte_of_ciphertext_tag_and_iv_counts() -> None:
    good = encryption.encrypt(KEY, "tea?")
    bad = [replace(good, data=data) for data in flipped(good.data)] + [replace(good, iv=iv) for iv in flipped(good.iv)]
    assert len(bad) == 4 + 16 + 12
    for each in bad:
        with pytest.raises(CannotDecrypt, match="not encrypted with version 1"):
            decrypt(KEY, each)


GOOD = encryption.encrypt(KEY, "tea?", iv=bytes(12))


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (replace(GOOD, data=""), "not encrypted"),
        (replace(GOOD, data="AAAA"), "not encrypted"),
        (replace(GOOD, data=GOOD.data[:-1]), "ciphertext is not Base64"),
        (replace(GOOD, data=GOOD.data + "\n"), "ciphertext is not Base64"),
        (replace(GOOD, data="plain text"), "ciphertext is not Base64"),
        (replace(GOOD, data="é"), "ciphertext is not Base64"),
        (replace(GOOD, data="\ud800"), "ciphertext is not Base64"),
        (replace(GOOD, data=GOOD.data.replace("/", "_").replace("+", "-") + "_-=="), "ciphertext is not Base64"),
        (replace(GOOD, iv=""), "iv has 0 bytes, not 12"),
        (replace(GOOD, iv=base64.b64encode(bytes(16)).decode()), "iv has 16 bytes, not 12"),
        (replace(GOOD, iv="!"), "iv is not Base64"),
        (encryption.encrypt(bytes(32), "tea?"), "not encrypted with version 1"),
        (encryption.encrypt(KEY, b"\xff\xfe"), "not UTF-8"),
        (encryption.encrypt(KEY, b"\xed\xa0\x80"), "not UTF-8"),  # a lone surrogate
        (encryption.encrypt(KEY, ""), "is empty"),
    ],
)
def test_what_is_not_encrypted_as_documented_is_refused_with_the_reason(sealed: Sealed, reason: str) -> None:
    with pytest.raises(CannotDecrypt, match=reason):
        decrypt(KEY, sealed)


@settings(max_examples=examples(100))
@given(st.text(), st.text())
def test_no_texts_break_the_decryption(data: str, iv: str) -> None:
    with pytest.raises(CannotDecrypt):
        decrypt(KEY, Sealed(data=data, iv=iv, key_version=1))


@settings(max_examples=examples(100))
@given(TEXTS)
def test_the_length_of_encrypted_content_follows_from_its_bytes(text: str) -> None:
    assert len(encryption.encrypt(KEY, text).data) == encrypted_characters(len(text.encode()))
