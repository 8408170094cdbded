"""A small HTTP server of byte ranges, as object stores are, that keeps what it was asked for.

It is a process of its own: GDAL holds Python's lock while it waits for an answer.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Server:
    """Serves the files of a folder; ``log`` has each request's method and path with query, one a line."""

    address: str
    log: Path

    @property
    def asked(self) -> list[str]:
        """The requests so far."""
        return self.log.read_text().splitlines()


@contextmanager
def serving(folder: Path, secret: str = "") -> Iterator[Server]:
    """The server of a folder, for as long as the context lasts; it wants ``secret`` as the query."""
    log = folder / "requests.log"
    log.touch()
    command = [sys.executable, __file__, str(folder), secret, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process.stdout.readline().strip(), log)
        finally:
            process.terminate()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        folder, secret, log = sys.argv[1:]
        with open(log, "a") as file:
            print(self.command, self.path, file=file)
        path, _, query = self.path.partition("?")
        file_path = Path(folder) / path.lstrip("/")
        if query != secret or not file_path.is_file():
            self.send_response(404 if query == secret else 403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = file_path.read_bytes()
        start, stop = 0, len(data)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found:
            start, stop = int(found[1]), min(stop, int(found[2] or stop) + 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(max(stop - start, 0)))
        self.end_headers()
        if body:
            self.wfile.write(data[start:stop])

    def log_message(self, *words: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
