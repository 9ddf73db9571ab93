"""Serves the page on one address until it is stopped. Fetches nothing, and writes into one temporary folder alone."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backbones.errors import UserInputError

if TYPE_CHECKING:
    from transfer.app.models import Models

LOCAL = ("127.0.0.1", "localhost", "::1")
OFFLINE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""What keeps Gradio, and what it brings along, from the network."""

# The browser may load from the page's own address alone, whatever Gradio's files ask for.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'"
)


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return host in LOCAL


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; taken before anything slow is imported.

    Raises:
        UserInputError: the port is taken, or no such address.
    """
    if not 0 <= port <= 65535:
        raise UserInputError(f"--port {port}: expected a number from 0 (any free one) to 65535")
    server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    with server:
        if os.name == "posix":  # there it means what was meant; elsewhere two could listen on one port
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
            server.listen(128)
        except (OSError, OverflowError) as error:
            where = f"--port {port} on --host {host}"
            raise UserInputError(f"{where}: {getattr(error, 'strerror', None) or error}; choose another one") from error
        yield server


def serve(server: socket.socket, models: Models) -> None:
    """Serves the page until SIGINT or SIGTERM.

    Args:
        server: that listens.
        models: what the page offers.
    """
    os.environ.update(OFFLINE)
    with tempfile.TemporaryDirectory(prefix="ean-app-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        app = build_app(models, Path(folder), server.getsockname()[0])
        host, port = server.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{port} (stop it with Ctrl-C)", flush=True)
        _run(app, server)


def build_app(models: Models, folder: Path, host: str) -> Any:
    """The page as a web application; `OFFLINE` and `GRADIO_TEMP_DIR` must be in the environment."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from transfer.app.page import CSS, SESSIONS, build, theme
    from transfer.app.uploads import MOST_BYTES

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    if is_local(host):
        # Another site's name that points at this machine is not answered.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", "::1"])

    app.add_middleware(_Policy)
    page = build(models, folder)
    page.state_session_capacity = SESSIONS
    return gr.mount_gradio_app(
        app,
        page,
        path="/",
        max_file_size=MOST_BYTES,
        theme=theme(),
        css=CSS,
        ssr_mode=False,
        footer_links=[],
        pwa=False,
    )


class _Policy:
    """Says `POLICY` with every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes a request on."""

        async def say(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, say)


def _run(app: Any, server: socket.socket) -> None:
    import uvicorn

    # Browsers keep a stream open, which nobody waits for.
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[server])
