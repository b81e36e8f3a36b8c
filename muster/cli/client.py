"""What the commands know of the HTTP API: requests, pages, streams that survive a restart of the API."""

from __future__ import annotations

import os
import re
import ssl
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from muster.cli.stream import Message, messages
from muster.services import runtime
from muster.settings import Settings, mask

if TYPE_CHECKING:
    import httpx

ANSWER_SECONDS = 35.0
SILENCE_SECONDS = 30.0  # the API sends a comment every few seconds, so this long without one is a dead connection
RECONNECT_SECONDS = 120.0
RESEND_SECONDS = 10.0
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Failure(click.ClickException):
    """Ends the command with one line, and an exit code that says whose fault it was."""

    advice = ""

    def show(self, file: Any = None) -> None:
        click.echo(f"muster: {self.format_message()}{self.advice}", err=True)


class Problem(Failure):
    """The API refused. `document` is what it answered (RFC 9457)."""

    exit_code = 1

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code") or "")
        if status == 401:
            self.advice = "; set MUSTER_API_KEY"
        self.retryable = bool(document.get("retryable"))
        super().__init__(_sentence(status, document))


class Unreachable(Failure):
    exit_code = 2

    def __init__(self, url: str, error: Exception) -> None:
        why = str(error) or type(error).__name__
        super().__init__(
            f"no Muster answers at {mask(url)} ({why}): start one with `muster start` or `make up`, or set MUSTER_URL"
        )


def _sentence(status: int, document: dict[str, Any]) -> str:
    detail = str(document.get("detail") or document.get("title") or f"the API answered {status}")
    errors = document.get("errors")
    if isinstance(errors, list) and len(errors) > 1:  # a single one is what the detail says
        detail = "; ".join(f"{_option(error['at'])}: {error['message']}" for error in errors)
    elif at := re.match(r"(body|query|path)\.[\w.]+(?=: )", detail):
        detail = _option(at[0]) + detail[at.end() :]
    trace = document.get("trace_id")
    return f"{detail} (trace {trace})" if status >= 500 and trace else detail


def _option(place: str) -> str:
    """What the command that runs calls it: its option or argument of that name, else the name in the API."""
    name = re.sub(r"^(body|query|path)\.", "", place)
    context = click.get_current_context(silent=True)
    if context is None:
        return name
    for parameter in context.command.params:
        if parameter.name == name:
            return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(context)
    return name


class Api:
    """One connection to the API.

    `patient` is for commands that follow something: once the API has answered, they wait for it to come back when
    it goes away, instead of ending.
    """

    def __init__(self, settings: Settings | None = None, *, patient: bool = False) -> None:
        self._settings = settings or Settings()
        self._patient = patient
        self._answered = False
        self.url = runtime.api_url(self._settings)
        self._client = _client(self.url, self._settings)

    @property
    def is_here(self) -> bool:
        """Whether its agents run on this machine, and may be in this directory: a Muster of this home, or the one that
        runs whoever asks."""
        record = runtime.running(self._settings)
        return (record is not None and record.api == self.url) or "MUSTER_AGENT_ID" in os.environ

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    # -- Requests -----------------------------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> Any:
        outage = _Outage()
        while True:
            try:
                answer = self._send("GET", path, params=_present(params))
                outage.over()
                return answer
            except (Unreachable, Problem) as error:
                lasting = isinstance(error, Problem) and error.status not in {502, 503, 504}
                if lasting or not self._patient or not self._answered or outage.seconds > RECONNECT_SECONDS:
                    raise
                outage.wait()
                self._look_again()

    def post(
        self, path: str, body: dict[str, Any] | None = None, timeout: float = ANSWER_SECONDS, **params: Any
    ) -> Any:
        """Sent again with the same key when the answer is lost on its way, so it still happens once."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        deadline = time.monotonic() + RESEND_SECONDS
        sent = False
        while True:
            try:
                return self._send(
                    "POST", path, params=_present(params), json=body, headers=headers, timeout=timeout
                )  # fmt: skip
            except Unreachable as error:
                sent = sent or not _never_sent(error)
                if not sent or time.monotonic() > deadline:
                    raise
                self._look_again()
            except Problem as problem:
                passing = problem.code == "request_in_flight" or problem.status == 503
                if not passing or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("PATCH", path, json=body)

    def delete(self, path: str, **params: Any) -> Any:
        return self._send("DELETE", path, params=_present(params))

    def download(self, path: str, **params: Any) -> Iterator[bytes]:
        """The answer as it comes, however long it is."""
        import httpx

        try:
            with self._client.stream("GET", path, params=_present(params)) as response:
                if not response.is_success:
                    response.read()
                    self._answer(response)
                yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise Unreachable(self.url, error) from error

    def upload(self, path: str, content: Iterable[bytes], **params: Any) -> Any:
        """Sent as it is read, once."""
        import httpx

        kept = httpx.Timeout(ANSWER_SECONDS, read=None, write=None)  # who reads it may be busy with what it has
        try:
            response = self._client.post(path, content=content, params=_present(params), timeout=kept)
        except httpx.HTTPError as error:
            raise Unreachable(self.url, error) from error
        return self._answer(response)

    def _send(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        deadline = time.monotonic() + RESEND_SECONDS
        while True:
            try:
                response = self._client.request(method, path, **options)
            except httpx.HTTPError as error:
                raise Unreachable(self.url, error) from error
            except httpx.InvalidURL as error:
                raise Failure(f"{mask(self.url)} is not an address ({error}); see MUSTER_URL") from None
            except UnicodeEncodeError:
                raise Failure("an argument, or the name of a file, is not UTF-8") from None
            try:
                return self._answer(response)
            except Problem as problem:
                # Too many requests of this key in this second: nothing was done, so it may be sent again.
                if problem.code != "rate_limited" or time.monotonic() > deadline:
                    raise
            time.sleep(1.0)

    def _answer(self, response: httpx.Response) -> Any:
        if response.is_success:
            self._answered = True
            try:
                return response.json() if response.content else None
            except ValueError:
                raise Failure(f"what answers at {mask(self.url)} is not a Muster; see MUSTER_URL") from None
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {"detail": f"{mask(str(response.url))} answered {response.status_code}; is this a Muster?"}
        raise Problem(response.status_code, document)

    def pages(self, path: str, limit: int | None = None, **params: Any) -> Iterator[dict[str, Any]]:
        """The items of a list, newest first, up to `limit`."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = self.get(path, limit=min(left or 500, 500), cursor=cursor, **params)
            yield from page["items"]
            cursor = page["next_cursor"]
            left = None if left is None else left - len(page["items"])
            if cursor is None:
                return

    # -- Streams ------------------------------------------------------------------------------------------------

    def stream(self, path: str, after: int, **params: Any) -> Iterator[Message]:
        """Every message behind `after`, each once and in order, over as many connections as it takes.

        Messages with an id are places in the log; others are passed on as they come, except `reconnect`. Whoever
        has seen enough stops iterating.
        """
        import httpx

        outage = _Outage()
        while True:
            error: Failure
            try:
                with self._client.stream(
                    "GET",
                    path,
                    params=_present({**params, "after": after}),
                    headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
                    timeout=httpx.Timeout(ANSWER_SECONDS, read=SILENCE_SECONDS),
                ) as response:
                    if response.is_error:
                        response.read()
                    if not response.is_success:
                        self._answer(response)
                    self._answered = True
                    outage.over()
                    for message in messages(response.iter_bytes()):
                        if message.event == "reconnect":
                            break
                        if message.id is None:
                            yield message
                        elif int(message.id) > after:
                            after = int(message.id)
                            if message.data is not None:
                                yield message
                    else:
                        outage.note()
                    continue
            except httpx.HTTPError as cause:
                error = Unreachable(self.url, cause)
            except Problem as problem:
                if problem.status not in {429, 502, 503, 504}:
                    raise
                error = problem
            if not self._patient or not self._answered or outage.seconds > RECONNECT_SECONDS:
                raise error
            outage.wait()
            self._look_again()

    def _look_again(self) -> None:
        """A Muster that was restarted may have another port."""
        url = runtime.api_url(self._settings)
        if url != self.url:
            self._client.close()
            self.url, self._client = url, _client(url, self._settings)


class _Outage:
    """Says on stderr that the API is away, once, and that it is back."""

    def __init__(self) -> None:
        self._began = 0.0
        self._told = False
        self._waits = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began if self._began else 0.0

    def note(self) -> None:
        self._began = self._began or time.monotonic()
        time.sleep(0.05)  # a server that ends each stream at once must not be asked in a tight loop

    def wait(self) -> None:
        self.note()
        if not self._told and self.seconds > 0.5:
            self._told = True
            click.echo(f"muster: the API is away; trying again for {RECONNECT_SECONDS:.0f} s", err=True)
        self._waits += 1
        time.sleep(min(0.1 * self._waits, 1.0))

    def over(self) -> None:
        if self._told:
            click.echo(f"muster: the API is back after {self.seconds:.1f} s", err=True)
        self._began, self._told, self._waits = 0.0, False, 0


def _credentials(settings: Settings) -> dict[str, str]:
    headers = {}
    if key := runtime.api_key(settings):
        headers["Authorization"] = f"Bearer {key}"
    if settings.workspace:
        headers["Muster-Workspace"] = settings.workspace
    return headers


def _client(url: str, settings: Settings) -> httpx.Client:
    # httpx imports its own command line, with rich and pygments, when it can: 0.15 s that nobody here asked for.
    if "httpx" not in sys.modules:
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    import httpx

    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise Failure(f"MUSTER_URL is not an address ({error})") from None
    if not url.startswith(("http://", "https://")) or not host:
        raise Failure(f"MUSTER_URL is not an http:// or https:// address: {mask(url)}")
    return httpx.Client(
        base_url=url,
        headers=_credentials(settings),
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=5.0),
        # Reading the system's certificates takes 70 ms; plain http needs none, and this context trusts nobody.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http://") else True,
        trust_env=host not in LOOPBACK,  # a proxy cannot reach our loopback
    )


def _never_sent(error: Unreachable) -> bool:
    import httpx

    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)


def _present(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value not in (None, (), [])}
