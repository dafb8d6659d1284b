"""A stand-in for the Hub's API on loopback: repositories in a dictionary, one commit each push."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(ThreadingHTTPServer):
    """Serves until closed; `files` is NAMESPACE/NAME -> path -> bytes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None: ...

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = self._chunks() if chunked else self.rfile.read(length)
        parts = self.path.strip("/").split("/")
        if self.headers.get("Authorization") == "Bearer refused":
            return self._answer(403, {"error": "no right to write here"})
        if parts[:3] == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.files.setdefault(name, {})
            self.server.private[name] = "private" in (asked.get("visibility"), *asked)
            return self._answer(200, {"url": f"{self.server.address}/{name}", "id": name})
        if parts == ["api", "validate-yaml"]:  # of the card
            return self._answer(200, {"errors": [], "warnings": []})
        name = "/".join(parts[2:4])
        if parts[4] == "preupload":
            asked = json.loads(body)["files"]
            told = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in asked]  # fmt: skip
            return self._answer(200, {"files": told})
        if parts[4] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.server.files[name][value["path"]] = base64.b64decode(value["content"])
            url = f"{self.server.address}/{name}/commit/{_sha(self.server.files[name])}"
            told = {"commitUrl": url, "commitOid": url.rpartition("/")[2], "hookOutput": ""}
            return self._answer(200, told)
        return self._answer(404, {"error": self.path})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        files = self.server.files.get(name)
        if files is None:
            return self._answer(404, {"error": "Repository not found"}, "RepoNotFound")
        if parts[0] != "api":  # NAMESPACE/NAME/resolve/REVISION/path
            content = files["/".join(parts[4:])]
            return self._send(200, content, files)
        if parts[4:5] == ["tree"]:
            told = [{"type": "file", "path": p, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                    for p, c in files.items()]  # fmt: skip
            return self._answer(200, told)
        siblings = [{"rfilename": path} for path in files]
        told = {"id": name, "sha": _sha(files), "siblings": siblings, "private": False}
        return self._answer(200, told)

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, code: int, told: object, error: str = "") -> None:
        self._send(code, json.dumps(told).encode(), {}, error)

    def _send(self, code: int, content: bytes, files: dict[str, bytes], error: str = "") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        if error:
            self.send_header("X-Error-Code", error)
        if files:
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", _sha(files))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _sha(files: dict[str, bytes]) -> str:
    digest = hashlib.sha1()
    for path in sorted(files):
        digest.update(path.encode() + files[path])
    return digest.hexdigest()
