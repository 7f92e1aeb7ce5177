"""A gateway in a thread and the console in a real Chromium; one of each for all tests of a module."""

import asyncio
import os
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    StorageState,
    sync_playwright,
)

from support.faultup import FaultUpstream
from switchgear.testing.gateway import ADMIN_KEY, Running, running

PASSWORD = "correct horse battery"
T = TypeVar("T")


def chromium(fetched: str) -> str:
    """Return where the browser is; `fetched` is where Playwright puts one of its own."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("SWITCHGEAR_CHROMIUM") or next(filter(None, map(shutil.which, names)), fetched)
    assert Path(found).exists(), (
        "these tests need Chromium: `apt-get install chromium`, or `playwright install chromium`"
    )
    return found


class House:
    """A gateway with an upstream, in a loop of its own in a thread: the test's thread is the browser's."""

    run: Running
    upstream: FaultUpstream

    def __init__(self, directory: Path, **options: Any) -> None:
        self._directory = directory
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.do(self._start())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        self.do(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    async def _start(self) -> None:
        self.upstream = await self._stack.enter_async_context(FaultUpstream())
        environ = {"ADMIN_DEFAULT_PASSWORD": PASSWORD, **self._options.pop("environ", {})}
        self.run = await self._stack.enter_async_context(running(self._directory, environ=environ, **self._options))

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def admin(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask the admin API; return what it says."""
        answer = self.do(self.run.admin.request(method, path, json=body, headers=headers))
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def chat(self, content: str = "Hi", **members: Any) -> str:
        """Make a call as a client does; return the id of the request."""
        answer = self.do(self.run.chat(content, **{"model": "echo", **members}))
        assert 200 == answer.status_code, answer.text
        return answer.headers["x-request-id"]


class Console:
    """A tab with the console. What the browser complains of is collected."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.complaints: list[str] = []
        self.refused: list[str] = []
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{error}"))
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        # What the browser says of answers that are no success is looked at by their status instead.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(f"{response.status} {response.request.method} {response.url}")

    def open(self, address: str = "") -> None:
        """Go to an address of the console, with a load."""
        new = self.page.url == "about:blank"
        self.page.goto(f"{self.url}/ui/#/{address}")
        if not new:
            self.page.reload()

    def go(self, address: str) -> None:
        """Go to an address within the console, as a link does."""
        self.page.evaluate("to => { location.hash = to; }", f"#/{address}")

    def settled(self) -> None:
        """Wait until nothing is loading any more."""
        self.page.wait_for_function(
            "() => !document.querySelector('.skeleton, [aria-busy=true]') && document.querySelector('main h1')"
        )

    def sign_in_with_key(self, key: str = ADMIN_KEY) -> None:
        """Sign in with an admin key."""
        other = self.page.get_by_role("button", name="With an admin key")
        self.page.wait_for_selector(".signin form")
        if other.count():
            other.click()
        self.page.get_by_label("Admin key").fill(key)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.wait_for_selector(".shell")

    def sign_in(self, username: str = "admin", password: str = PASSWORD) -> None:
        """Sign in with a password."""
        self.page.wait_for_selector(".signin form")
        self.page.get_by_label("User", exact=True).fill(username)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.wait_for_selector(".shell")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=chromium(playwright.chromium.executable_path),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        yield made
        made.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house"), plugins={"balances": {}}) as made:
        yield made


@pytest.fixture(scope="module")
def session(house: House) -> StorageState:
    """What a browser keeps of an administrator who has signed in: a cookie, and that there is one."""
    body = {"username": "admin", "password": PASSWORD, "cookie": True}
    answer = house.do(house.run.http.post("/admin/v1/auth/login", json=body))
    assert answer.is_success, answer.text
    cookie = {
        "name": "switchgear_session",
        "value": answer.cookies["switchgear_session"],
        "domain": "127.0.0.1",
        "path": "/",
        "expires": -1,
        "httpOnly": True,
        "secure": False,
        "sameSite": "Strict",
    }
    had = {"origin": house.run.url, "localStorage": [{"name": "had-session", "value": "yes"}]}
    return {"cookies": [cookie], "origins": [had]}  # type: ignore[typeddict-item, list-item]


@pytest.fixture(scope="module")
def signed_in(browser: Browser, session: StorageState) -> Iterator[BrowserContext]:
    """Where an administrator has signed in, once for all tests of a module: what it has fetched need not be fetched again."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=session)
    yield context
    context.close()


Opens = Callable[..., Console]


@pytest.fixture
def opens(browser: Browser, house: House, request: pytest.FixtureRequest) -> Iterator[Opens]:
    """Opens tabs, each with cookies of its own; what a browser complains of fails the test."""
    contexts: list[BrowserContext] = []
    consoles: list[Console] = []

    def open_(
        *, theme: str = "light", width: int = 1440, height: int = 900, url: str | None = None, known: bool = False
    ) -> Console:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,  # type: ignore[arg-type]
            storage_state=request.getfixturevalue("session") if known else None,
        )
        contexts.append(context)
        console = Console(context, url or house.run.url)
        consoles.append(console)
        console.open()
        return console

    yield open_
    complaints = [said for console in consoles for said in console.complaints]
    for context in contexts:
        context.close()
    assert [] == complaints


@pytest.fixture
def console(signed_in: BrowserContext, house: House) -> Iterator[Console]:
    """A tab where an administrator has signed in."""
    made = Console(signed_in, house.run.url)
    made.open()
    made.page.wait_for_selector(".shell")
    yield made
    complaints = list(made.complaints)
    made.page.evaluate("() => { localStorage.clear(); localStorage.setItem('had-session', 'yes'); }")
    made.page.close()
    assert [] == complaints
