"""A certificate authority of the tests' own, and a certificate for 127.0.0.1."""

import ssl
from pathlib import Path

import trustme


class Certificate:
    """Files for a server, and what a client needs to trust them."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        self.cert = folder / "cert.pem"
        self.key = folder / "key.pem"
        issued.private_key_pem.write_to_path(str(self.key))
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self._authority = authority

    @property
    def options(self) -> tuple[str, ...]:
        """For `chinwag serve`."""
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))

    def client(self, *protocols: str) -> ssl.SSLContext:
        """A context that trusts it and, if any are given, offers these protocols."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context
