"""Running the server in this process: classifiers are read, then uvicorn serves until SIGTERM or Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nlptl.errors import ConfigError
from nlptl.interfaces.server.accepting import WorkerLoads
from nlptl.interfaces.server.loaded_model import Device
from nlptl.interfaces.server.server_settings import ServerSettings

SPARE_FILES = 128  # that a process may open beside its connections
MAX_FILES = 65_536
THREADS = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")  # of torch and ONNX Runtime, and of the tokenizers


@dataclass(frozen=True)
class ServerPlan:
    """What is served, and how."""

    runs: Mapping[str, Path]
    settings: ServerSettings
    device: Device = "auto"
    grace: float = 30.0
    """Seconds that requests in hand may take after SIGTERM."""
    workers: int = 1


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket, which does not listen yet. Raises ConfigError where the address cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ConfigError(f"--host: found {host!r}, which names no address of this machine. Give 127.0.0.1.") from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        reason = error.strerror or str(error)
        raise ConfigError(
            f"--port: {host}:{port} cannot be had ({reason}). Give another port, or end what uses it."
        ) from None
    found.set_inheritable(True)
    return found


def address_of(bound: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def share_cores(workers: int) -> None:
    """Let each of several workers compute on its share of the cores, before torch is loaded. What the user has set stays."""
    share = max(1, len(os.sched_getaffinity(0)) // workers) if hasattr(os, "sched_getaffinity") else 1
    for name in THREADS:
        os.environ.setdefault(name, str(share))
    if share == 1:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def allow_connections() -> int:
    """Let this process hold as many connections as the system allows it. Return how many."""
    try:
        import resource
    except ImportError:  # Windows
        return 512
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(16, (MAX_FILES if soft == resource.RLIM_INFINITY else soft) - SPARE_FILES)


def serve(
    plan: ServerPlan, bound: socket.socket, *, when_ready: Callable[[], None], loads: WorkerLoads | None = None
) -> None:
    """Read the classifiers and serve them until this process is told to end; then finish what is in hand."""
    from nlptl.interfaces.server.app import create_app
    from nlptl.interfaces.server.graceful_server import graceful_server
    from nlptl.interfaces.server.loaded_model import load_model, warm_up
    from nlptl.interfaces.server.reloading import WARM_UP

    models = {name: load_model(run, device=plan.device) for name, run in plan.runs.items()}
    for model in models.values():
        warm_up(model, WARM_UP)
    app = create_app(models, plan.settings, runs=plan.runs, device=plan.device)
    server = graceful_server(app, grace=plan.grace, connections=allow_connections(), when_ready=when_ready, loads=loads)
    server.run([bound])
