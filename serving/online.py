"""A registered model behind HTTP: MLflow's scoring server, and a gate for what that lets pass.

The server is that of `mlflow models serve`, with its addresses and formats. The gate before it
answers with the reason where MLflow would take a request of any size, ignore a misspelt parameter
or fall over a request that nests too deeply; and it says in a header which version answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias

from uvicorn.protocols.http.h11_impl import H11Protocol

from features.errors import InputError

if TYPE_CHECKING:
    from serving.registry import RegisteredModel

__all__ = [
    "HEADER",
    "LIMIT",
    "Gate",
    "PromptProtocol",
    "application",
    "check_address",
    "gated",
    "serve",
]

HEADER = "X-Regulars-Model"
"""Header of every answer: name and version of the model, as in the scored list."""
LIMIT = 16 * 2**20
"""Bytes of the largest request, some ten thousand customers; a longer list is batch scoring's."""

_PATH = "/invocations"
_ADDRESSES = {_PATH: "POST", "/ping": "GET", "/health": "GET", "/version": "GET"}
_KINDS = re.compile(
    r"\s*(application/json|text/csv|application/vnd\.apache\.parquet)\s*"
    r"(;\s*charset=(?i:utf-8)\s*)*"
)
_CODES = {404: "ENDPOINT_NOT_FOUND", 405: "BAD_REQUEST"}  # of MLflow; others: a wrong value
_VERSION = "REGULARS_SERVED_VERSION"  # how the worker processes know
_STORE = "REGULARS_SERVED_STORE"

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class Gate:
    """An ASGI application around another, which gets only requests that it can answer.

    Args:
        app: The application behind the gate.
        label: What `HEADER` says.
        params: Names of the parameters that the model takes.
        limit: Bytes of the largest request.
    """

    def __init__(
        self, app: App, label: str, params: Collection[str] = (), limit: int = LIMIT
    ) -> None:
        self.app = app
        self.label = label
        self.params = frozenset(params)
        self.limit = limit
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on with its body read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = (HEADER.lower().encode(), self.label.encode())
                message["headers"] = [*message.get("headers", ()), said]
            await send(message)

        method = _ADDRESSES.get(scope["path"])
        if method is None:
            there = ", ".join(f"{asks} {path}" for path, asks in _ADDRESSES.items())
            await _answer(404, f"There is no {scope['path']}; there is {there}.", labelled)
            return
        if scope["method"] != method:
            await _answer(405, f"{scope['path']} takes {method} only.", labelled, allow=method)
            return
        if scope["path"] != _PATH:
            await self.app(scope, receive, labelled)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if len(body) <= self.limit:  # what follows is read and dropped, so that it is answered
                body += message.get("body", b"")
            more = message.get("more_body", False)
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        if refusal := self._refusal(bytes(body), kind):
            await _answer(*refusal, labelled)
            return
        waiting = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        # One after the other: side by side, requests fight for the interpreter, and all of them
        # together take twice as long.
        async with self._turn:
            await self.app(scope, again, labelled)

    def _refusal(self, body: bytes, kind: str) -> tuple[int, str] | None:
        """Status and reason when a request cannot be answered."""
        if len(body) > self.limit:
            return 413, (
                f"The request is larger than {self.limit:,} bytes: send fewer customers at once, "
                "or score them with `regulars score`."
            )
        if not kind:
            return 415, "The header Content-Type is missing: application/json or text/csv."
        found = _KINDS.fullmatch(kind)
        if found is None:
            return 415, (
                f"The Content-Type is {kind[:100]!r}; it must be application/json, text/csv or "
                "application/vnd.apache.parquet, in UTF-8."
            )
        if found[1] != "application/json":
            return None
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError) as error:
            what = "it nests too deeply" if isinstance(error, RecursionError) else str(error)
            return 400, f"The request is no JSON that can be read: {what}."
        given = asked.get("params") if isinstance(asked, dict) else None
        if given is not None and not isinstance(given, dict):
            return 400, "params is no dictionary of names and values."
        if given and (unknown := sorted(set(given) - self.params)):
            return 400, (
                f"Unknown parameter {', '.join(unknown)}; this model takes "
                f"{', '.join(sorted(self.params)) or 'none'}."
            )
        return None


class PromptProtocol(H11Protocol):
    """HTTP that sends small answers at once (TCP_NODELAY).

    asyncio asks for that itself, but not where workers share a socket that was opened elsewhere:
    there an answer would wait 40 ms for the client to confirm its headers.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take up a connection."""
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)


async def _answer(status: int, reason: str, send: Send, allow: str = "") -> None:
    """An error in the form of MLflow's own."""
    code = _CODES.get(status, "INVALID_PARAMETER_VALUE")
    body = json.dumps({"error_code": code, "message": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(b"allow", allow.encode())] if allow else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def gated(model: RegisteredModel, limit: int = LIMIT) -> Gate:
    """The ASGI application of a loaded model."""
    from mlflow.pyfunc import scoring_server

    return Gate(scoring_server.init(model.pyfunc), model.label, model.params, limit)


def application() -> Gate:
    """The ASGI application of a worker process, of the version that the environment names.

    Raises:
        InputError: The model cannot be loaded.
    """
    from serving.registry import load_version

    name, _, version = os.environ[_VERSION].rpartition("/")
    return gated(load_version(name, version, os.environ.get(_STORE)))


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before a model is loaded.

    uvicorn would end the process with 3, which says that something needs a person.

    Raises:
        InputError: Another program listens there, or this machine does not have the address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise InputError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}.",
            "Give another --port or --host, or stop the program that uses it.",
        ) from error


def serve(
    name: str,
    tracking_uri: str | None,
    *,
    host: str,
    port: int,
    workers: int,
    ready: Callable[[str], None],
) -> None:  # pragma: no cover - ends with the process
    """Answer requests until the process is told to stop; requests under way are answered first.

    Args:
        name: A registered model; its champion of this moment is served until the end.
        tracking_uri: Where MLflow keeps its records; MLflow's own setting when left out.
        host: Address to listen on.
        port: Port to listen on.
        workers: Number of processes.
        ready: Called with the label of the model when it is loaded, just before it answers.

    Raises:
        InputError: The model cannot be loaded, or the address cannot be listened on.
    """
    import uvicorn

    from serving.registry import load

    check_address(host, port)
    model = load(name, tracking_uri=tracking_uri)  # a message of ours, before there are workers
    ready(model.label)
    if workers == 1:
        uvicorn.run(gated(model), host=host, port=port, log_level="warning", http=PromptProtocol)
        return
    os.environ[_VERSION] = model.label  # the same for all, whoever becomes champion meanwhile
    if tracking_uri is not None:
        os.environ[_STORE] = tracking_uri
    uvicorn.run(
        "serving.online:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        http=PromptProtocol,
    )
