"""The REST API as a build pipeline uses it."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from spellmark.errors import SpellmarkError

OVER = {"succeeded", "failed", "cancelled"}


# Of the platform, while a job is waited for.
MOST_FAILURES = 2


class ServerError(SpellmarkError):
    """The platform's own fault."""


class Client:
    """A small client: one method an HTTP method, errors as the API words them."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=120
        )

    def get(self, path: str) -> Any:
        """The JSON of an address."""
        return self._call("GET", path).json()

    def download(self, path: str, to: Path) -> Path:
        """The bytes of an address, as a file."""
        to.write_bytes(self._call("GET", path).content)
        return to

    def post(self, path: str, **fields: Any) -> Any:
        """Send fields; the JSON of the answer."""
        return self._call("POST", path, json=fields).json()

    def upload(self, path: str, file: Path) -> Any:
        """Send a file as the body, with its digest."""
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return self._call("PUT", path, content=data, headers={"X-Content-SHA256": digest}).json()

    def wait(self, path: str, show: Callable[[float, str], None], *, seconds: float = 1800) -> Any:
        """Wait for the job of a protection, run or report; the row when it succeeded."""
        end, failures = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            try:
                row = self.get(path)
            except ServerError:
                # To ask once more changes nothing, and a busy machine may have had a bad moment.
                failures += 1
                if failures > MOST_FAILURES:
                    raise
                time.sleep(1)
                continue
            job = row["job"]
            show(job["progress"], job["step"])
            if job["state"] == "succeeded":
                return row
            if job["state"] in OVER:
                raise SpellmarkError(f"{job['title']}: {job['error']}", hint=job["hint"])
            time.sleep(0.3)
        raise SpellmarkError(f"{path} was not done in time.", hint="See the worker's log.")

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        response = self._http.request(method, path, **arguments)
        if response.is_error:
            try:
                error = response.json()["error"]
            except (ValueError, KeyError):
                raise SpellmarkError(
                    f"{method} {path} was answered with {response.status_code}.",
                    hint="See the web process's log.",
                ) from None
            kind = ServerError if response.is_server_error else SpellmarkError
            raise kind(f"{method} {path}: {error['message']}", hint=error["hint"])
        return response
