"""Stand-ins for services: local HTTP servers that answer, fail or hang as a test says."""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

COMMIT = "0" * 40  # of the stand-in's repositories


@dataclass
class Reply:
    """An answer; `cut` leaves out the second half of the body, `hangs` the whole answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hangs: bool = False


@dataclass
class Request:
    """What a client asked for."""

    method: str
    path: str  # without the query
    body: bytes


class Server(ThreadingHTTPServer):
    """A server whose `answer` may be exchanged while clients use it; `asked` lists what it was asked."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Request], Reply]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[Request] = []
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that has gone is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, urlparse(self.path).path, body)
        self.server.asked.append(request)
        reply = self.server.answer(request)
        if reply.hangs:
            self.server.closing.wait()
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if reply.cut else reply.body)
        if reply.cut:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def log_message(self, *_) -> None:
        pass


@contextmanager
def serving(answer: Callable[[Request], Reply]) -> Iterator[Server]:
    """A server for the time of a `with`."""
    server = Server(answer)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


def as_json(content, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def html(_: Request) -> Reply:
    return Reply(
        200, b"<!doctype html><html><body>Please log in to the network.</body></html>", {"Content-Type": "text/html"}
    )


FAULTS: dict[str, Callable[[Request], Reply]] = {
    "status 500": lambda _: Reply(500),
    "status 401": lambda _: Reply(401),
    "status 404": lambda _: Reply(404),
    "no answer": lambda _: Reply(hangs=True),
    "HTML for JSON": html,
    "a redirect to itself": lambda request: Reply(302, headers={"Location": request.path}),
}


def hub(root: Path) -> Callable[[Request], Reply]:
    """A Hugging Face Hub with the repositories `root/models/OWNER/NAME` and `root/datasets/OWNER/NAME`."""

    def answer(request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        if parts[0] == "api":  # api/KIND/OWNER/NAME/ACTION/REVISION/PLACE
            repository = root.joinpath(*parts[1:4])
            if parts[4:5] == ["tree"]:
                folder = repository.joinpath(*parts[6:])
                return as_json([_entry(path, repository) for path in folder.iterdir()] if folder.is_dir() else [])
            if len(parts) > 3 and repository.is_dir():
                return as_json({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": []})
            return Reply(404)
        if len(parts) < 3:
            return Reply(200)
        kind, *parts = parts if parts[0] == "datasets" else ["models", *parts]  # OWNER/NAME/resolve/REVISION/PLACE
        path = root.joinpath(kind, *parts[:2], *parts[4:])
        if not path.is_file():
            return Reply(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        content = path.read_bytes()
        return Reply(200, content, {"ETag": f'"{sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    return answer


def _entry(path: Path, repository: Path) -> dict:
    place = {"path": path.relative_to(repository).as_posix(), "oid": COMMIT}
    if path.is_dir():
        return {"type": "directory", **place}
    return {"type": "file", "size": path.stat().st_size, **place}


def wandb(address: str) -> Callable[[Request], Reply]:
    """As much of a W&B server at this address as a run and `wandb sync` need."""

    def answer(request: Request) -> Reply:
        if request.path != "/graphql":
            return as_json({})
        asked = json.loads(request.body)
        given = asked.get("variables") or {}
        project = {"id": "p", "name": "dcft", "entity": {"id": "e", "name": "me"}}
        data = {
            "viewer": {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}},
            "serverInfo": {"features": []},
            "model": {"bucket": None},
            "upsertBucket": {"bucket": {"id": "r", "name": given.get("name"), "project": project}, "inserted": True},
            "createRunFiles": {
                "runID": "r",
                "uploadHeaders": [],
                "files": [{"name": name, "uploadUrl": f"{address}/{name}"} for name in given.get("files") or []],
            },
        }
        return as_json({"data": data})

    return answer


def upload(address: str, taken: dict[str, bytes]) -> Callable[[Request], Reply]:
    """A Hub at this address that takes one commit of small files into a new repository, and puts them into `taken`."""

    def answer(request: Request) -> Reply:
        action = request.path.rpartition("/")[2]
        if request.path == "/api/repos/create":
            return as_json({"url": f"{address}/me/model", "id": json.loads(request.body)["name"]})
        if "/preupload/" in request.path:
            named = json.loads(request.body)["files"]
            return as_json({"files": [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in named]})
        if "/commit/" in request.path:
            lines = [json.loads(line) for line in request.body.splitlines()]
            for line in (line["value"] for line in lines if line["key"] == "file"):
                taken[line["path"]] = b64decode(line["content"])
            return as_json(
                {"commitUrl": f"{address}/me/model/commit/{COMMIT}", "commitOid": COMMIT, "pullRequestUrl": None}
            )
        return as_json({} if action == "validate-yaml" else {"id": "me/model", "sha": COMMIT, "siblings": []})

    return answer
