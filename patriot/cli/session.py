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
    """`account_id` is the account that commands use unless told otherwise. `token` is kept from the last log-in."""

    url: str
    username: str = ""
    password: str = ""
    account_id: str = ""
    token: str = ""


def save(folder: Path, session: Session) -> None:
    """Write the whole file or none of it."""
    fresh = folder / f"{FILE}.{os.getpid()}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(session)))
    fresh.replace(folder / FILE)


def load(folder: Path) -> Session | None:
    """What `patriot up` wrote down, as it is. Raises msgspec.DecodeError where the file is damaged."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Session)
    except (FileNotFoundError, NotADirectoryError):
        return None


def wanted(folder: Path) -> Session | None:
    """The session that the environment asks for, else the folder's."""
    known = load(folder)
    url = os.environ.get("PATRIOT_URL", known.url if known else "").rstrip("/")
    if not url:
        return None
    username = os.environ.get("PATRIOT_USERNAME")
    if username is not None:
        return Session(url, username, os.environ.get("PATRIOT_PASSWORD", ""))
    return Session(url) if known is None else msgspec.structs.replace(known, url=url)


class Client:
    """Calls the platform as the session's user. Every failure ends the command with its exit code.

    `folder`: where the token may be kept for the next command; None = nowhere.
    """

    def __init__(self, session: Session, *, as_json: bool, folder: Path | None = None) -> None:
        self.session = session
        self.as_json = as_json
        self._folder = folder
        self._http = httpx.Client(base_url=session.url + "/api/v1", timeout=TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON answer."""
        answer = self.ask(method, path, body, **headers)
        if answer.is_error:
            self.refuse(answer)
        return answer.json()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """The answer, whatever it is; logged in where that is needed."""
        answer = self._send(method, path, body, headers)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._send(method, path, body, headers)
        return answer

    def keep(self, **changes: str) -> None:
        """Change the session, for the next command too where it is the folder's own."""
        self.session = msgspec.structs.replace(self.session, **changes)
        if self._folder is not None:
            save(self._folder, self.session)

    def refuse(self, answer: httpx.Response, hint: str = "") -> None:
        """End the command with the problem that the platform told."""
        problem = _problem(answer)
        code = NOT_FOUND if answer.status_code == httpx.codes.NOT_FOUND else REFUSED
        text = f"{problem.get('code', answer.status_code)}: {problem.get('detail')}"
        for line in (hint, f"correlation id {problem['correlation_id']}" if "correlation_id" in problem else ""):
            text += f"\n  {line}" if line and not self.as_json else ""
        fail(text, code, problem, as_json=self.as_json)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.session.token:
            sent["Authorization"] = f"Bearer {self.session.token}"
        try:
            answer = self._http.request(method, path, json=body, headers=sent)
        except httpx.ConnectError:
            text = f"nothing answers at {self.session.url}; start the platform with `make up`"
            fail(text, UNREACHABLE, as_json=self.as_json)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            text = f"no answer from {self.session.url} ({str(error) or type(error).__name__})"
            key = headers.get("Idempotency_Key")
            text += f"; it may have been done all the same: look, or repeat it with --key {key}" if key else ""
            fail(text, UNREACHABLE, as_json=self.as_json)
        return answer

    def _log_in(self) -> None:
        if not self.session.username:
            text = "this needs a user: set PATRIOT_USERNAME and PATRIOT_PASSWORD"
            fail(text, REFUSED, as_json=self.as_json)
        self.session.token = ""
        body = {"username": self.session.username, "password": self.session.password}
        answer = self._send("POST", "/auth/token", body, {})
        if answer.is_error:
            self.refuse(answer, f"logging in as {self.session.username!r}")
        self.keep(token=answer.json()["access_token"])


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": answer.text[:500]}


def connect(folder: Path, *, as_json: bool) -> Client:
    try:
        session = wanted(folder)
    except msgspec.DecodeError:
        fail(f"{folder / FILE} is damaged; start the platform again to mend it", REFUSED, as_json=as_json)
    if session is None:
        text = f"the platform was never started in {folder.absolute()}; start it with `make up`, or name its folder "
        fail(text + "with --data-dir, or its address with PATRIOT_URL", UNREACHABLE, as_json=as_json)
    own = "PATRIOT_URL" not in os.environ and "PATRIOT_USERNAME" not in os.environ
    return Client(session, as_json=as_json, folder=folder if own else None)
