"""TLS for the listener: a certificate and key from files, and what can be wrong with them in words."""

import ssl
from pathlib import Path


class BadCertificate(Exception):
    """A certificate or key cannot be used. The message says which and why, in one line."""


def load_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for a server that speaks HTTP/2 and HTTP/1.1, over TLS 1.2 and up.

    `certificate` holds the chain in PEM, its own certificate first. Raises `BadCertificate`.
    """
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise BadCertificate(f"{path}: {error.strerror}") from None

    def no_passphrase() -> str:
        raise BadCertificate(f"{key} is encrypted; a server needs a key without passphrase")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # which a client of TLS 1.2 could ask for without end
    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BadCertificate(f"the key in {key} does not belong to the certificate in {certificate}") from None
        raise BadCertificate(f"{certificate} and {key} are not a certificate and its key in PEM") from None
    return context
