"""To answer requests: a model behind HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import config_option

__all__ = ["serve"]


@click.command()
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=5001, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@config_option
def serve(model: str, host: str, port: int, workers: int, config_path: Path) -> None:
    """Answer requests to MODEL over HTTP, until stopped.

    MODEL is churn, clv, segments, next, or the name of a registered model; its champion is served.
    Requests and answers are those of `mlflow models serve` (docs/online.md).
    """
    from serving.online import serve as serve_model

    from .. import console
    from ..config import load_config
    from ..promotion import named

    def ready(label: str) -> None:
        console.say(f"Serving {label} on http://{host}:{port}/invocations")

    uri = load_config(config_path).mlflow.tracking_uri
    serve_model(named(model), uri, host=host, port=port, workers=workers, ready=ready)
