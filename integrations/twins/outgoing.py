"""How does a twin call out and sign?  One POST with what came of it, and the keys that a process makes once."""

from __future__ import annotations

import functools
import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(slots=True)
class Attempt:
    """One try: the status, or None with the name of the network's fault."""

    status: int | None
    retry_after: str | None = None
    error: str | None = None
    body: bytes = b""


def post(
    url: str, headers: Mapping[str, str], body: bytes, timeout: float, context: ssl.SSLContext | None = None
) -> Attempt:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("POST", target, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return Attempt(answer.status, answer.getheader("Retry-After"), body=answer.read(65_536))
    except (OSError, http.client.HTTPException) as fault:
        return Attempt(None, error=type(fault).__name__)
    finally:
        connection.close()


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@functools.cache
def app_key(number: int) -> rsa.RSAPrivateKey:
    """One key per number and process; 0 is the app's own."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    kind, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(kind, form).decode()


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
