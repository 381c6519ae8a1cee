"""Our app behind BentoML's front door: a middleware that answers every request itself.

BentoML documents `add_asgi_middleware`, and the settings that are off here (service.py), which are all but one that
would stand before it. Its own application is started and stopped, and no request ever reaches it: none of its pages
and routes can be served, whatever goes wrong with ours.
"""

from dataclasses import dataclass

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.instrumentation import FAILED, LEFT


async def not_started(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 503: the application of a service whose own is not there yet."""
    await JSONResponse({"error": "the service has not started"}, status_code=503)(scope, receive, send)


@dataclass
class Ours:
    """What answers: an application that is set when it is ready."""

    app: ASGIApp = not_started


class Mount:
    """Middleware that has `ours` answer HTTP, and passes the lifespan on to `app`, BentoML's.

    An answer is begun whatever happens, for one to a client that left too: BentoML's `TimeoutMiddleware` waits for
    that, and a stopping service would wait for the middleware.
    """

    def __init__(self, app: ASGIApp, ours: Ours) -> None:
        self.app, self.ours = app, ours

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; nothing but HTTP is spoken here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            begun, status = False, LEFT

            async def noted(message: Message) -> None:
                nonlocal begun
                begun = True
                await send(message)

            try:
                await self.ours.app(scope, receive, noted)
            except Exception:
                status = FAILED
                raise
            finally:
                if not begun:
                    await Response(status_code=status)(scope, receive, send)


class HeadAsGet:
    """Middleware that has HEAD answered as GET, of which the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self.app({**scope, "method": "GET"} if scope["method"] == "HEAD" else scope, receive, send)
