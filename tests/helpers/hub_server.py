"""A Hub of our own on the loopback interface: the routes that clients of the Hub ask when they load by name.

It answers as the Hub does: commits behind branches, error codes, large files by way of a redirection, ranges of bytes.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_one_who_may_read"  # noqa: S105 - nobody else takes it
OTHER_TOKEN = "hf_of_one_who_is_known"  # noqa: S105 - as little as that one
_LARGE = (".safetensors", ".parquet")
Files = Mapping[str, bytes]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their names in a repository."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Repository:
    """Files by commit, and commits by branch; a gated one is read by whom `TOKEN` names."""

    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, revision: str) -> str | None:
        """Return the commit that a branch or a commit's own name stands for, None for neither."""
        return self.branches.get(revision, revision if revision in self.commits else None)


class HubServer:
    """Repositories by address: "someone/model", or "datasets/someone/data"; what is asked is kept in `asked`.

    `breaks` says how many bytes of a file are sent, each time that it is fetched, before the connection breaks; `then`
    what happens once a path was asked for; files of the names in `fails` make it fail, and those of the addresses in
    `forbidden` are for nobody.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.breaks: dict[str, list[int]] = {}
        self.then: dict[str, Callable[[], object]] = {}
        self.fails: set[str] = set()
        self.forbidden: set[str] = set()
        self.stopped = True
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, where it did before it was stopped."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), type("Bound", (_Answers,), {"hub": self}))
        self._port = self._server.server_port
        self.stopped = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self.stopped = True
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._port}"

    def add(self, address: str, files: Files | Path, *, branch: str = "main", gated: bool = False) -> str:
        """Commit files to a branch of a repository, which is made where there is none; return the commit."""
        content = files_of(files) if isinstance(files, Path) else dict(files)
        repository = self.repositories.setdefault(address, Repository(gated))
        commit = hashlib.sha1(repr((address, sorted(content.items()))).encode()).hexdigest()  # noqa: S324 - as git's
        repository.commits[commit] = content
        repository.branches[branch] = commit
        return commit

    def fetched(self, file: str) -> list[str | None]:
        """Return the ranges of bytes in which a file was fetched, None for the whole."""
        return [part for method, path, part in self.asked if method == "GET" and path.endswith(f"/{file}")]


class _Answers(BaseHTTPRequestHandler):
    """One request: the repository is found, then what is asked of it."""

    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, *_: object) -> None:
        """Say nothing on the terminal of the tests."""

    def do_HEAD(self) -> None:
        self._answer()
        self.hub.then.pop(urlsplit(self.path).path.strip("/"), bool)()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        if self.hub.stopped:  # of a connection that was open before
            self.close_connection = True
            return
        path = urlsplit(self.path).path.strip("/")
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        api = path.startswith("api/")
        asked = path.removeprefix("api/").removeprefix("models/").removeprefix("large/")
        parts = [unquote(part) for part in asked.split("/")]
        size = 3 if parts[0] == "datasets" else 2
        address, rest = "/".join(parts[:size]), parts[size:]
        repository = self.hub.repositories.get(address)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        known, missing = token == TOKEN, 403 if token == OTHER_TOKEN else 401
        if repository is None:
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        elif repository.gated and not known and not api:
            self._refuse(missing, "GatedRepo", f"Access to model {address} is restricted.")
        elif address in self.hub.forbidden and not api:
            self._refuse(403, "", "This token has not the permission to read it.")
        elif (commit := repository.commit(rest[1] if len(rest) > 1 else "main")) is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
        elif api:
            self._tell(address, repository.commits[commit], commit, rest)
        else:
            self._send_file(path, repository.commits[commit], commit, "/".join(rest[2:]))

    def _tell(self, address: str, files: Files, commit: str, rest: list[str]) -> None:
        below = "/".join(rest[2:])
        if rest[:1] == ["tree"]:
            prefix = f"{below}/" if below else ""
            found = [_entry(name, files) for name in files if name.startswith(prefix)]
            self._send_json(found) if found else self._refuse(404, "EntryNotFound", f"{below} does not exist")
        elif rest[:1] == ["paths-info"]:
            wanted = parse_qs(self._body.decode()).get("paths") or json.loads(self._body or b"{}").get("paths", [])
            self._send_json([_entry(name, files) for name in files if name in wanted])
        else:
            siblings = [{"rfilename": name} for name in files]
            self._send_json({"id": address.removeprefix("datasets/"), "sha": commit, "siblings": siblings})

    def _send_file(self, path: str, files: Files, commit: str, name: str) -> None:
        if name in self.hub.fails:
            self._send(503, b"", {})
        elif name not in files:
            self._refuse(404, "EntryNotFound", "Entry not found", commit)
        else:
            self._send_content(path, files, commit, name)

    def _send_content(self, path: str, files: Files, commit: str, name: str) -> None:
        content, tag = files[name], {"ETag": f'"{hashlib.sha256(files[name]).hexdigest()}"', "X-Repo-Commit": commit}
        if name.endswith(_LARGE) and not path.startswith("large/"):
            linked = {"X-Linked-Etag": tag["ETag"], "X-Linked-Size": str(len(content)), "Location": f"/large/{path}"}
            self._send(302, b"", tag | linked)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        ranged = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._send(206 if start else 200, content[start:], tag | ranged, name)

    def _refuse(self, status: int, code: str, message: str, commit: str | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self._send(
            status, json.dumps({"error": message}).encode(), headers | ({"X-Repo-Commit": commit} if commit else {})
        )

    def _send_json(self, data: object) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], name: str = "") -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if breaks := self.hub.breaks.get(name):
            self.wfile.write(content[: breaks.pop(0)])
            self.close_connection = True
        else:
            self.wfile.write(content)


def _entry(name: str, files: Files) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(files[name]), "oid": hashlib.sha1(files[name]).hexdigest()}  # noqa: S324
