"""How is an answer, or the fault in its place, put on the socket?

Every record is written before the first byte leaves, so a client that has its answer finds it in the twin's wire.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from integrations.twins.faults import Fault
    from integrations.twins.server import Request, Response, Twin, _Handler

    Note = Callable[[Response | None], None]

MEBIBYTE = 1024 * 1024
HTML_502 = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>502 Bad Gateway</body>\r\n</html>\r\n"
HTML_200 = b"<!doctype html><title>Sign in to the network</title><p>Please sign in.</p>"


def head(status: int, headers: Mapping[str, str]) -> bytes:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer_plainly(
    handler: _Handler, status: int, headers: Mapping[str, str], body: bytes, *, close: bool = False
) -> None:
    """One write for the whole answer: two would cost 40 ms on a keep-alive connection."""
    if close:
        handler.close_connection = True
    lines = {**headers, "Content-Length": str(len(body))}
    if handler.close_connection:
        lines["Connection"] = "close"
    handler.wfile.write(head(status, lines) + (b"" if handler.command == "HEAD" else body))


def answer_with(
    handler: _Handler, twin: Twin, request: Request, response: Response, fault: Fault | None, note: Note
) -> None:
    """Send `response`, or what the fault makes of it; `note` records what the client is given (None: nothing)."""
    if fault is None:
        note(response)
        answer_plainly(handler, response.status, response.all_headers(), response.encoded())
    elif fault.kind in _SILENT:
        note(None)
        _SILENT[fault.kind](handler, twin, fault)
    elif fault.kind in _BROKEN:
        note(response)
        handler.close_connection = True
        for piece in _BROKEN[fault.kind](twin, response, fault):
            handler.wfile.write(piece)
            if twin.stopping.is_set():
                break
    else:
        changed = _CHANGED[fault.kind](response, fault)
        note(changed)
        answer_plainly(handler, changed.status, changed.all_headers(), changed.encoded())


def _hang(handler: _Handler, twin: Twin, fault: Fault) -> None:
    handler.close_connection = True
    twin.stopping.wait(float(fault.args.get("seconds", 30)))


def _reset(handler: _Handler, twin: Twin, fault: Fault) -> None:
    handler.close_connection = True
    handler.server.to_reset.add(handler.connection)


def _close(handler: _Handler, twin: Twin, fault: Fault) -> None:
    handler.close_connection = True


def _instead(status: int, body: Any, headers: Mapping[str, str], response: Response) -> Response:
    kept = {name: value for name, value in response.headers.items() if name.lower() == "request-id"}
    return type(response)(status, body, {**kept, **headers})


def _status(response: Response, fault: Fault) -> Response:
    body = fault.args.get("body", {"error": {"message": "fault", "type": "api_error"}})
    return _instead(int(fault.args.get("status", 500)), body, fault.args.get("headers", {}), response)


def _rate_limited(response: Response, fault: Fault) -> Response:
    after = fault.args.get("retry_after")
    headers = {**({} if after is None else {"Retry-After": str(after)}), **fault.args.get("headers", {})}
    body = {"error": {"message": "Too many requests", "type": "invalid_request_error", "code": "rate_limit"}}
    return _instead(429, fault.args.get("body", body), headers, response)


def _redirect(response: Response, fault: Fault) -> Response:
    location = str(fault.args.get("location", "http://127.0.0.1:9/"))
    return _instead(int(fault.args.get("status", 302)), b"", {"Location": location}, response)


def _html(status: int, body: bytes) -> Callable[[Response, Fault], Response]:
    return lambda response, fault: _instead(status, body, {"Content-Type": "text/html"}, response)


def _body(status: int | None, body: bytes) -> Callable[[Response, Fault], Response]:
    return lambda response, fault: _instead(status or response.status, body, response.headers, response)


def _truncated(twin: Twin, response: Response, fault: Fault) -> Iterator[bytes]:
    body = response.encoded()
    yield head(response.status, {**response.all_headers(), "Content-Length": str(max(len(body), 2))})
    yield body[: max(1, len(body) // 2)] if len(body) > 1 else b""


def _bad_json(response: Response, fault: Fault) -> Response:
    return _instead(response.status, response.encoded()[:-1] or b"{", response.headers, response)


def _altered(response: Response, fault: Fault) -> Response:
    """The right answer with other values: `fields` replaces them, inside a list in each of its entries."""
    body = _merged(json.loads(response.encoded() or b"null"), fault.args["fields"])
    return _instead(response.status, body, response.headers, response)


def _merged(value: Any, fields: Any) -> Any:
    if isinstance(value, list) and isinstance(fields, dict):
        return [_merged(one, fields) for one in value]
    if isinstance(value, dict) and isinstance(fields, dict):
        return {**value, **{name: _merged(value.get(name), wanted) for name, wanted in fields.items()}}
    return fields


def _drip(twin: Twin, response: Response, fault: Fault) -> Iterator[bytes]:
    body = response.encoded()
    yield head(response.status, {**response.all_headers(), "Content-Length": str(len(body))})
    yield from _slowly(twin, body, fault)


def _drip_header(twin: Twin, response: Response, fault: Fault) -> Iterator[bytes]:
    yield from _slowly(twin, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 40, fault)


def _slowly(twin: Twin, body: bytes, fault: Fault) -> Iterator[bytes]:
    for position in range(len(body)):
        yield body[position : position + 1]
        twin.stopping.wait(float(fault.args.get("seconds", 0.25)))


def _huge(twin: Twin, response: Response, fault: Fault) -> Iterator[bytes]:
    yield head(200, {"Content-Type": "application/json", "Connection": "close"})
    for _ in range(int(fault.args.get("megabytes", 200))):
        yield b" " * MEBIBYTE


def _gzip_bomb(twin: Twin, response: Response, fault: Fault) -> Iterator[bytes]:
    bomb = _bomb(int(fault.args.get("megabytes", 200)))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Content-Length": str(len(bomb))}
    yield head(200, headers) + bomb


@functools.cache
def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * MEBIBYTE) for _ in range(megabytes)) + packer.flush()


_SILENT: dict[str, Callable[[_Handler, Twin, Fault], None]] = {
    "hang_before": _hang,
    "hang_after": _hang,
    "reset_before": _reset,
    "reset_after": _reset,
    "close_after": _close,
}
_BROKEN: dict[str, Callable[[Twin, Response, Fault], Iterator[bytes]]] = {
    "truncated": _truncated,
    "drip": _drip,
    "drip_header": _drip_header,
    "huge": _huge,
    "gzip_bomb": _gzip_bomb,
}
_CHANGED: dict[str, Callable[[Response, Fault], Response]] = {
    "status": _status,
    "rate_limited": _rate_limited,
    "redirect": _redirect,
    "html_502": _html(502, HTML_502),
    "html_200": _html(200, HTML_200),
    "bad_json": _bad_json,
    "empty": _body(None, b""),
    "altered": _altered,
    "json_null": _body(None, json.dumps(None).encode()),
    "json_list": _body(None, b"[]"),
}
