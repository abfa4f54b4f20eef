"""The cryptography of rooms whose keys the server holds, and nothing else: no store, no waiting, no rules.

A room key is 32 random bytes, used by clients with AES-256-GCM. At rest it is sealed with the server's master key, also
by AES-256-GCM; on its way to a member it is sealed with the RSA key of their profile, by OAEP with SHA-256 for hash and
mask (RSA-OAEP-256). What this protects against and what not is in docs/encryption.md.

All of it runs on the event loop: opening a message took 3 us where it was measured, reading a public key 10 us, sealing
for one 30 us (2048 bits) to 250 us (8192). To a thread and back is about as far.
"""

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from chinwag.engine.model.errors import CannotDecrypt, Invalid
from chinwag.engine.model.ids import RoomId
from chinwag.engine.model.values import RoomKey, Sealed

KEY_BYTES = 32
"""AES-256, for the master key and for room keys."""
IV_BYTES = 12
"""What AES-GCM is made for (NIST SP 800-38D, section 8.2)."""
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 8192
MOST_RSA_EXPONENT = 2**32
"""65537 is what everybody uses. A huge one makes sealing slow, and nothing safer."""
MOST_PEM_CHARACTERS = 4096
"""An RSA key of `MOST_RSA_BITS` has 1,491."""

_OAEP_256 = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


class WrongMasterKey(Exception):
    """A room key was not sealed with this master key, or was changed since."""


class MasterKey:
    """The key that seals all room keys. Whoever has it and the database has every room key in server custody."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        """Raises ValueError unless `key` has 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)

    @classmethod
    def parse(cls, text: str) -> "MasterKey":
        """The key that Base64 or 64 hexadecimal digits stand for. Raises ValueError for anything else."""
        text = text.strip()
        try:
            key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text, validate=True)
        except ValueError:
            raise ValueError("a master key is Base64 or 64 hexadecimal digits") from None
        return cls(key)

    def seal(self, room_id: RoomId, version: int, key: bytes) -> bytes:
        """A room key as it is stored. It opens only as what it is: this version of this room's key."""
        iv = secrets.token_bytes(IV_BYTES)
        return iv + self._cipher.encrypt(iv, key, _name_of(room_id, version))

    def open(self, key: RoomKey) -> bytes:
        """The 32 bytes of a stored room key. Raises `WrongMasterKey`."""
        iv, sealed = key.sealed[:IV_BYTES], key.sealed[IV_BYTES:]
        if len(iv) == IV_BYTES:
            try:
                return self._cipher.decrypt(iv, sealed, _name_of(key.room_id, key.version))
            except InvalidTag:
                pass
        raise WrongMasterKey(f"version {key.version} of the key of room {key.room_id} does not open")


def make_key() -> bytes:
    """A new random key, for a room or as master key."""
    return secrets.token_bytes(KEY_BYTES)


class PublicKey:
    """An RSA key that was checked: somebody's profile key."""

    __slots__ = ("_key",)

    def __init__(self, pem: str) -> None:
        """Reads PEM text (SubjectPublicKeyInfo or PKCS#1). Raises `Invalid("public_key")`, saying what is wrong."""
        if len(pem) > MOST_PEM_CHARACTERS:
            raise _bad_key(f"has more than {MOST_PEM_CHARACTERS} characters")
        if "PRIVATE KEY" in pem:
            raise _bad_key("is a private key: keep it to yourself, and make a new pair if this one left your hands")
        try:
            key = load_pem_public_key(pem.encode("ascii"))
        except (ValueError, UnsupportedAlgorithm):
            raise _bad_key("is not a public key in PEM") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise _bad_key("is not an RSA key")
        if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
            raise _bad_key(f"has {key.key_size} bits, {LEAST_RSA_BITS} to {MOST_RSA_BITS} are needed")
        if key.public_numbers().e > MOST_RSA_EXPONENT:
            raise _bad_key("has an unusually large exponent")
        self._key = key
        try:
            self.seal(bytes(KEY_BYTES))  # an impossible modulus shows here, and not when a room key is asked for
        except ValueError:
            raise _bad_key("does not encrypt") from None

    @property
    def pem(self) -> str:
        """The key as SubjectPublicKeyInfo in PEM: the same text for the same key, however it was written."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def seal(self, key: bytes) -> str:
        """`key` by RSA-OAEP-256, in Base64: only the private key's holder can open it."""
        return base64.b64encode(self._key.encrypt(key, _OAEP_256)).decode()


def check_public_key(pem: str) -> str:
    """A profile's public key in its normal form: RSA of 2048 to 8192 bits. Raises `Invalid("public_key")`."""
    return PublicKey(pem).pem


def decrypt(key: bytes, sealed: Sealed) -> str:
    """The text that a client encrypted: `data` is Base64 of ciphertext and tag, `iv` Base64 of 12 bytes; there is no
    associated data.

    Raises `CannotDecrypt` when any of it is not so, or when it is not UTF-8 or nothing at all.
    """
    iv, content = _from_base64(sealed.iv, "iv"), _from_base64(sealed.data, "ciphertext")
    if len(iv) != IV_BYTES:
        raise CannotDecrypt(f"the iv has {len(iv)} bytes, not {IV_BYTES}")
    try:
        text = AESGCM(key).decrypt(iv, content, None).decode()
    except InvalidTag:
        raise CannotDecrypt(f"it is not encrypted with version {sealed.key_version} of the room's key") from None
    except UnicodeDecodeError:
        raise CannotDecrypt("what is encrypted is not UTF-8") from None
    if not text:
        raise CannotDecrypt("what is encrypted is empty")
    return text


def _from_base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise CannotDecrypt(f"the {what} is not Base64") from None


def _name_of(room_id: RoomId, version: int) -> bytes:
    """What is authenticated beside a room key, so that it cannot be passed off as another one."""
    return b"chinwag room key\0" + room_id.to_bytes(8, "big") + version.to_bytes(8, "big")


def _bad_key(reason: str) -> Invalid:
    return Invalid("public_key", reason)
