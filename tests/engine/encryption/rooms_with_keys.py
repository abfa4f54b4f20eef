"""A client that encrypts, written from docs/encryption.md alone: it shares no code with the engine."""

import base64
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chinwag.engine.model.values import Sealed


class Client:
    """Somebody's device: an RSA pair of its own, and AES-256-GCM."""

    def __init__(self, bits: int = 2048) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        self.public_pem = (
            self._private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        self.pkcs1_pem = (
            self._private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
            .decode()
        )
        self.private_pem = self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def unseal(self, sealed: str) -> bytes:
        """A room key that was sealed for this device."""
        oaep = padding.OAEP(mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
        return self._private.decrypt(base64.b64decode(sealed, validate=True), oaep)


def encrypt(key: bytes, text: str | bytes, *, version: int = 1, iv: bytes | None = None) -> Sealed:
    """A message's content as a client sends it."""
    iv = os.urandom(12) if iv is None else iv
    plain = text.encode() if isinstance(text, str) else text
    return Sealed(
        data=base64.b64encode(AESGCM(key).encrypt(iv, plain, None)).decode(),
        iv=base64.b64encode(iv).decode(),
        key_version=version,
    )


def decrypt(key: bytes, sealed: Sealed) -> str:
    """What another client reads out of it."""
    iv, data = base64.b64decode(sealed.iv), base64.b64decode(sealed.data)
    return AESGCM(key).decrypt(iv, data, None).decode()
