"""A server that goes away after so many bytes: what stands between it and its clients."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path


class Proxy:
    """Hands bytes on between clients and a socket, until a number of them has passed.

    Args:
        server: The server's socket, or its host and port.
        most: Bytes, both ways together, after which it is gone; None: never.
        gone: What happens then, before every connection is cut.
    """

    def __init__(
        self,
        server: Path | tuple[str, int],
        most: int | None = None,
        gone: Callable[[], object] = lambda: None,
    ) -> None:
        self.server, self.most, self.gone = server, most, gone
        self.passed = 0
        self.cut = False
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        # Not pytest's folders, which are too long for a socket.
        self.folder = Path(tempfile.mkdtemp(prefix="proxy-"))
        if isinstance(server, Path):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.folder / server.name))
        else:
            self._listener = socket.socket()
            self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = 0 if isinstance(server, Path) else int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if isinstance(self.server, Path):
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(str(self.server))
                else:
                    server = socket.create_connection(self.server)
            except OSError:
                client.close()
                continue
            self._open += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._hand_on, args=pair, daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16_384):
                with self._lock:
                    room = len(data) if self.most is None else self.most - self.passed
                    self.passed += len(data)
                target.sendall(data[: max(room, 0)])
                if room < len(data):
                    with self._lock:
                        first, self.cut = not self.cut, True
                    if first:
                        self.gone()
                    self._close()
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
