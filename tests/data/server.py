"""A server of one file on this machine, which can break off."""

import contextlib
import http.server
import threading
from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    content: bytes
    sent: int  # bytes after which the connection breaks
    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content[: self.server.sent])

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve(content: bytes) -> Iterator[Server]:
    """Answers every path with the content, on a port that was free."""
    with Server(("127.0.0.1", 0), _Handler) as server:
        server.content, server.sent = content, len(content)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
