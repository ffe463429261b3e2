"""The command `serve`: classifiers behind an HTTP address."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.completion import complete_runs
from nlptl.interfaces.options import DeviceOption, QuietOption, argument, check_place, checked_run, option, path_option
from nlptl.interfaces.terminal import remark

if TYPE_CHECKING:
    import socket

    from nlptl.interfaces.server.running import ServerPlan

KEY = "NLPTL_API_KEY"
NEEDED = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "prometheus_client": "prometheus-client",
}
MIN_KEY = 16  # characters; a shorter one can be guessed
LOCAL = ("127.0.0.1", "localhost", "::1")

_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def serve(
    runs: Annotated[
        list[str],
        argument(
            metavar="RUN", help="The folder of a run, a stage or an export, or NAME=FOLDER. Several are served by name.",
            autocompletion=complete_runs,
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Listen at this address; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, metavar="N", help="Listen at this port; 0 takes a free one.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Serve by this many processes, each with all models in memory.")
    ] = 1,
    api_key_file: Annotated[
        Path | None, path_option(metavar="FILE", help=f"Ask for the key in this file. Default: that in {KEY}, if it is set.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, option(metavar="NAME", help="Answer to this name of the server too. Repeat it for several.")
    ] = None,
    max_body: Annotated[int, typer.Option(min=1, metavar="BYTES", help="Refuse a larger body.")] = 10_000_000,
    max_file: Annotated[int, typer.Option(min=1, metavar="BYTES", help="Refuse a larger table to be labelled.")] = 1_000_000_000,
    max_texts: Annotated[int, typer.Option(min=1, metavar="N", help="Refuse more texts in a request.")] = 10_000,
    max_text_length: Annotated[int, typer.Option(min=1, metavar="N", help="Refuse a text of more characters.")] = 100_000,
    queue: Annotated[
        int, typer.Option(min=1, metavar="N", help="Let this many texts of a model wait; refuse more for a moment.")
    ] = 20_000,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Give up a request whose body or answer takes longer.")
    ] = 60.0,
    grace: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="Finish requests in hand within this time after SIGTERM.")
    ] = 30.0,
    corrections: Annotated[
        Path | None, path_option(metavar="FILE", help="Collect corrected labels in this file, as JSON lines.")
    ] = None,
    log_texts: Annotated[bool, typer.Option("--log-texts", help="Write texts to stderr, which is off by default.")] = False,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Serve classifiers over HTTP, with a web page.

    POST /predict takes {"text": …} or {"texts": […]}; /openapi.json describes all paths.

    A run that is refreshed is read again while the old version answers. SIGTERM ends the server when requests are answered.
    """
    _check_installed()
    from nlptl.interfaces.server.running import ServerPlan, listening_socket, share_cores
    from nlptl.interfaces.server.running import serve as serve_here
    from nlptl.interfaces.server.server_settings import ServerSettings

    check_place(corrections, "--corrections")
    key = api_key(api_key_file)
    if not quiet and is_open_to_others(api_key_file):
        remark(
            f"Warning: every user of this machine may read the key in {api_key_file}. Type: chmod o-r {api_key_file}"
        )
    settings = ServerSettings(
        key,
        max_body,
        max_texts,
        max_text_length,
        queue,
        timeout,
        corrections=corrections,
        max_file=max_file,
        log_texts=log_texts,
        hosts=allowed_hosts(allow_host or [], host=host, key=key),
    )
    plan = ServerPlan(named_runs(runs), settings, device, grace, workers)
    share_cores(workers)
    with listening_socket(host, port) as bound:

        def ready() -> None:
            if not quiet:
                for line in ready_lines(plan, bound, host):
                    remark(line, wrap=False)

        if workers == 1:
            serve_here(plan, bound, when_ready=ready)
        else:
            from nlptl.interfaces.server.workers import serve_by_workers

            serve_by_workers(plan, bound, when_ready=ready, tell=remark)
    if not quiet:
        remark("Ended. Requests in hand were answered.")


def named_runs(runs: list[str]) -> dict[str, Path]:
    """Return the folders of runs by the names under which they are served. Raises ConfigError for one name twice."""
    found: dict[str, Path] = {}
    for given in runs:
        name, path = _named(given)
        if any("\ud800" <= sign <= "\udfff" for sign in name):
            raise ConfigError(f"RUN: found the name {name!r}, which is no UTF-8. Give NAME=FOLDER.")
        if name in found:
            raise ConfigError(f"RUN: found the name {name!r} twice, for {found[name]} and {path}. Give NAME=FOLDER.")
        found[name] = path
    return found


def api_key(file: Path | None) -> str | None:
    """Return the key that requests must carry, of a file or of NLPTL_API_KEY. Raises ConfigError for an unfit one."""
    where = KEY if file is None else f"--api-key-file: {file}"
    if file is None:
        key = os.environ.get(KEY)
    else:
        try:
            key = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{where} cannot be read; expected a file that holds one key. Check the path.") from None
    if key is None:
        return None
    key = key.strip()
    if len(key) < MIN_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"{where} holds a key of {len(key)} characters; expected {MIN_KEY} at least, of ASCII and without blanks. Make one "
            "with: openssl rand -hex 32"
        )
    return key


def allowed_hosts(given: Sequence[str], *, host: str, key: str | None) -> frozenset[str] | None:
    """Return the names by which requests may call the server; None for any. Raises ConfigError for what is no name.

    Any name will do where a key is asked for, and where other machines reach the server by names of their own.
    """
    for name in given:
        if not _HOST_NAME.fullmatch(name):
            raise ConfigError(
                f"--allow-host: found {name!r}; expected the name of a host alone. Give one such as models.example.org."
            )
    if not given and (key is not None or host not in LOCAL):
        return None
    return frozenset(name.lower() for name in given)


def is_open_to_others(file: Path | None) -> bool:
    """Return whether every user of the machine may read a file with the key."""
    try:
        return file is not None and bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:  # a pipe that has been read
        return False


def ready_lines(plan: ServerPlan, bound: socket.socket, host: str) -> Iterator[str]:
    """Yield where the server answers, and a first request."""
    from nlptl.interfaces.server.running import address_of

    address = address_of(bound)
    names = ", ".join(plan.runs)
    yield f"Serving {names} at {address}" + (f" by {plan.workers} workers." if plan.workers > 1 else ".")
    if host not in LOCAL and plan.settings.api_key is None:
        yield f"Warning: whoever reaches {address} may use it. Set {KEY}, or listen at 127.0.0.1."
    key = "" if plan.settings.api_key is None else f' -H "Authorization: Bearer ${KEY}"'
    body = '{"text": "A clever film with a warm ending.", "probabilities": true'
    body += "}" if len(plan.runs) == 1 else f', "model": "{next(iter(plan.runs))}"}}'
    yield f"Try: curl {address}/predict{key} -d {shlex.quote(body)}"


def _named(given: str) -> tuple[str, Path]:
    from nlptl.runs.folder import whole_run

    name, equals, rest = given.partition("=")
    if not equals or "/" in name or os.path.isdir(given):
        name, rest = "", given
    path = _usable(rest)
    return name or whole_run(path).resolve().name, checked_run(path)


def _usable(given: str) -> Path:
    """Return the path of a folder. Raises ConfigError where there is none."""
    path = Path(os.path.expanduser(given))
    if "\0" in given or not (path.is_dir() or path.is_file()):
        raise ConfigError(f"RUN: {given!r} is no folder; expected that of a run, a stage or an export. Check the path.")
    return path


def _check_installed(needed: Mapping[str, str] = NEEDED) -> None:
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"serve: needs {', '.join(missing)}, which is not installed. Install it with `pip install 'nlptl[serve]'`."
        )
