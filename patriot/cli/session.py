"""Where the platform runs and who we are to it. `patriot up` writes it down; the other commands read it.

The file `session.json` in the data folder is readable by its owner only. Another platform or user is named by
`PATRIOT_URL`, `PATRIOT_USERNAME` and `PATRIOT_PASSWORD`.
"""

import os
from pathlib import Path
from typing import Any

import httpx
import msgspec

from patriot.cli.output import NOT_FOUND, REFUSED, UNREACHABLE, fail

FILE = "session.json"
TIMEOUT_SECONDS = 10.0


class Session(msgspec.Struct):
    """`account_id` is the account that commands use unless told otherwise."""

    url: str
    username: str
    password: str
    account_id: str = ""


def save(folder: Path, session: Session) -> None:
    path = folder / FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(session)))


def load(folder: Path) -> Session | None:
    try:
        session = msgspec.json.decode((folder / FILE).read_bytes(), type=Session)
    except FileNotFoundError:
        return None
    session.url = os.environ.get("PATRIOT_URL", session.url)
    session.username = os.environ.get("PATRIOT_USERNAME", session.username)
    session.password = os.environ.get("PATRIOT_PASSWORD", session.password)
    return session


class Client:
    """Calls the platform as the session's user. Every failure ends the command with its exit code."""

    def __init__(self, session: Session, *, as_json: bool) -> None:
        self.session = session
        self._as_json = as_json
        self._http = httpx.Client(base_url=session.url + "/api/v1", timeout=TIMEOUT_SECONDS)
        self._token = ""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON answer."""
        answer = self._send(method, path, body, headers)
        if answer.status_code == httpx.codes.UNAUTHORIZED and not self._token:
            self._log_in()
            answer = self._send(method, path, body, headers)
        if answer.is_error:
            self._refused(answer)
        return answer.json()

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            return self._http.request(method, path, json=body, headers=sent)
        except httpx.TransportError as error:
            text = f"nothing answers at {self.session.url} ({error}); start it with `make up`"
            fail(text, UNREACHABLE, as_json=self._as_json)

    def _log_in(self) -> None:
        body = {"username": self.session.username, "password": self.session.password}
        answer = self._send("POST", "/auth/token", body, {})
        if answer.is_error:
            self._refused(answer)
        self._token = answer.json()["access_token"]

    def _refused(self, answer: httpx.Response) -> None:
        try:
            problem = answer.json()
        except ValueError:
            problem = {"detail": answer.text[:500]}
        code = NOT_FOUND if answer.status_code == httpx.codes.NOT_FOUND else REFUSED
        text = f"{problem.get('code', answer.status_code)}: {problem.get('detail')}"
        text += f"\n  correlation id {problem.get('correlation_id')}" if not self._as_json else ""
        fail(text, code, problem, as_json=self._as_json)


def connect(folder: Path, *, as_json: bool) -> Client:
    session = load(folder)
    if session is None:
        fail(f"no session in {folder}; start the platform with `make up` first", UNREACHABLE, as_json=as_json)
    return Client(session, as_json=as_json)
