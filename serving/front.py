"""Our app, put in front of BentoML's own: what BentoML answers itself is health and metrics.

BentoML's middleware traces, logs and counts every call, which costs several times the rest of a small one, and it
labels its metrics with whatever path is asked for, so that a port scan fills its memory (docs/design.md, Service).
"""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.observing import Observed

HEALTH, METRICS = ("/livez", "/readyz", "/healthz"), "/metrics"


class InFront:
    """Middleware of BentoML's that puts `front` before the whole application once it starts.

    The startup message of the lifespan carries the application, whose outermost layer can then be replaced. `guard`
    is put around both, and what is counted around that.
    """

    def __init__(self, app: ASGIApp, front: Starlette, guard: Callable[[ASGIApp], ASGIApp], has_metrics: bool) -> None:
        self.app, self.front, self.guard = app, front, guard
        self.behind = frozenset((*HEALTH, METRICS) if has_metrics else HEALTH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; at startup, put our app in front."""
        if scope["type"] == "lifespan":
            application: Starlette = scope["app"]
            stack = application.middleware_stack or application.build_middleware_stack()
            observed = Observed(self.guard(self._split(stack)), self.front.routes)

            async def layered(scope: Scope, receive: Receive, send: Send) -> None:
                await (stack if scope["type"] == "lifespan" else observed)(scope, receive, send)

            application.middleware_stack = layered
        await self.app(scope, receive, send)

    def _split(self, stack: ASGIApp) -> ASGIApp:
        async def split(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] == "HEAD":  # as GET, of which the server leaves the body out
                scope = {**scope, "method": "GET"}
            await (stack if scope["path"] in self.behind else self.front)(scope, receive, send)

        return split
