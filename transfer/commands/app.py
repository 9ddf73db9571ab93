"""Opens a page in the browser that predicts images with any trained model."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import sys

from backbones.errors import UserInputError
from transfer.cli import add_device

LOCAL = "127.0.0.1"
PORT = 7860


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", metavar="NAME", help="registered model or checkpoint (.pth) to offer first")
    parser.add_argument(
        "--work-dirs", default="work_dirs", metavar="DIR", help="folder of trainings whose checkpoints are offered too"
    )
    parser.add_argument("--host", default=LOCAL, help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, help=f"to listen on (default: {PORT})")
    add_device(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command until it is stopped; returns the exit status."""
    args = parse_args(argv)
    if importlib.util.find_spec("gradio") is None:
        raise UserInputError(
            'ean app needs gradio: pip install "ean-transfer[app]" (in a clone: pip install -e ".[app]")'
        )
    from transfer.app.serve import is_local, listening, serve

    with listening(args.host, args.port) as server:
        import transfer.engine  # noqa: F401  (guards and registries)
        from transfer.app.models import Models
        from transfer.engine.runner_setup import choose_device

        choose_device(args.device)
        if not is_local(args.host):
            print(
                f"warning: --host {args.host}: whoever reaches this machine can use the page; it asks for no password",
                file=sys.stderr,
            )
        # Stopping it is how it ends.
        with contextlib.suppress(KeyboardInterrupt):
            serve(server, Models(args.work_dirs, args.model))
    return 0
