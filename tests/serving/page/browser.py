"""What tests of the page share: waiting until it has drawn, and reading what it shows."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request

SLOW_MS = 30_000  # a machine with other work may take that long
PIXELS = """element => {
  const canvas = document.createElement('canvas');
  canvas.width = element.naturalWidth ?? element.width;
  canvas.height = element.naturalHeight ?? element.height;
  const context = canvas.getContext('2d');
  context.drawImage(element, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


@dataclass
class Watch:
    """What a page said to the console and asked of the net; `expected` are parts of messages that a test provokes."""

    base_url: str
    expected: Sequence[str] = ()
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Listen to `page` from now on."""
        page.on("console", self._console)
        page.on("pageerror", self._error)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.complaints.append(f"{message.type}: {message.text}")

    def _error(self, error: Error) -> None:
        self.complaints.append(f"exception: {error}")

    def _request(self, request: Request) -> None:
        own = (self.base_url, f"blob:{'/'.join(self.base_url.split('/')[:3])}/", "data:")  # a blob is its origin's
        if not request.url.startswith(own):
            self.complaints.append(f"request to another place: {request.url}")


def settle(page: Page) -> None:
    """Wait until the page has drawn what its address says."""
    page.locator("body:not([aria-busy])").wait_for(timeout=SLOW_MS)


def state_of(page: Page) -> dict[str, str]:
    """What the address says is shown."""
    return dict(part.split("=") for part in page.url.partition("#")[2].split("&"))


def pixels(picture: Locator) -> NDArray[np.uint8]:
    """The pixels [H, W, 3] of an image or a canvas, as the browser decoded them."""
    values = np.array(picture.evaluate(PIXELS), dtype=np.uint8)
    side = round((len(values) / 4) ** 0.5)
    return values.reshape(side, side, 4)[..., :3]


def decoded(png: bytes) -> NDArray[np.uint8]:
    """The pixels [H, W, 3] of a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def tile_png(client: httpx.Client, tiles: str, seed: int | str, **query: str | float) -> NDArray[np.uint8]:
    """The pixels [H, W, 3] of one tile, from the service itself."""
    answer = client.get(f"/v1/tile/{tiles}/{seed}.png", params=query)
    assert answer.status_code == 200, answer.text
    return decoded(answer.content)


def choose(page: Page, name: str, value: str) -> None:
    """Choose one part of a switch, as a click does, and wait for the drawing."""
    page.locator(f"label:has(input[name={name}][value='{value}'])").click()
    settle(page)


def fill(page: Page, field_id: str, text: str) -> None:
    """Type into a field, leave it, and wait for the drawing."""
    page.locator(f"#{field_id}").fill(text)
    page.locator(f"#{field_id}").press("Enter")
    settle(page)
