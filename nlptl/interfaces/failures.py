"""What a failed command tells: sentences on stderr, and the exit code 1 (it failed) or 2 (a fault of the user's input)."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nlptl.errors import ConfigError, DataError, NlptlError, ProcessError, StorageError
from nlptl.interfaces.terminal import OutputError

INTERRUPTED = "Interrupted. Every file is as it was or complete; run the same command again."
INTERRUPT_CODE = 130  # that some versions of typer return after Ctrl-C
NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def failure_lines(error: Exception) -> list[str]:
    """Return the sentences that tell an error of nlptl, of the output or of the disk."""
    if isinstance(error, ConfigError | DataError):
        return list(error.faults)
    if isinstance(error, OutputError):
        return [] if error.broken else [_output_line(str(error))]
    if isinstance(error, OSError):
        return [_disk_line(error)]
    if isinstance(error, ImportError):
        library = (error.name or "").partition(".")[0]
        return [
            f"{library}: is not installed, as in a bundle; this command needs it. Install nlptl whole: type `pip install .` in its "
            "checkout."
        ]
    if isinstance(error, MemoryError):
        return ["memory: there is not enough of it on this machine. Give less data, or close other programs."]
    return str(error).split("\n")


def is_missing_library(error: Exception) -> bool:
    """Return whether a library of training is missing, as where a bundle runs."""
    from nlptl.runs.bundle.requirements import TRAINING_ONLY

    return isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TRAINING_ONLY


def exit_code(error: Exception) -> int:
    """Return 2 for a fault of the user's input, else 1."""
    is_input = isinstance(error, NlptlError) and not isinstance(error, StorageError | ProcessError)
    return 2 if is_input else 1


def is_usage_error(error: Exception) -> bool:
    """Return whether typer has refused the command line. Its exceptions are click's, in some versions a copy of them."""
    return hasattr(error, "format_message")


def is_interrupt(error: BaseException) -> bool:
    """Return whether the user has pressed Ctrl-C; some versions of typer raise Abort."""
    return isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort"


def usage_lines(error: Any) -> Iterator[str]:
    """Tell what is wrong with a command line."""
    kind = type(error).__name__
    if kind == "NoArgsIsHelpError":
        yield from error.format_message().split("\n")
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "nlptl"
    yield f"{command}: {_usage_fault(error, kind, context)} `{command} --help` tells more."


def _usage_fault(error: Any, kind: str, context: Any) -> str:
    from nlptl.config import did_you_mean

    message = str(error.message)
    if kind == "NoSuchOption":
        is_value = not error.option_name.startswith("--")
        dash = " Put -- before a value that begins with a dash." if is_value else ""
        return f"found the option {error.option_name}, which does not exist.{_meant(error.possibilities)}{dash}"
    if kind == "BadOptionUsage":
        needed = "needs a value. Write it behind the option." if "requires" in message else "takes no value. Drop it."
        return f"{error.option_name} {needed}"
    if kind in ("BadParameter", "MissingParameter"):
        return f"{_name(error.param)} is missing. Give it." if kind[0] == "M" else _wrong_value(error)
    if unknown := re.match("No such command '(.*?)'", message):
        known = getattr(context.command, "commands", {})
        return f"found the command {unknown[1]!r}, which does not exist.{did_you_mean(unknown[1], known)}"
    if extra := re.search(r"unexpected extra argument(?:\(s\)|s)? \((.*)\)", message):
        return f'found more arguments than expected ({extra[1]}). Put a value that holds blanks in "quotes".'
    return message[:1].lower() + message[1:].rstrip(".") + "."


def _wrong_value(error: Any) -> str:
    """Tell a value that has the wrong type, or is out of its range."""
    found: list[Mapping[str, Any]] = getattr(error.__cause__, "errors", list)()
    if not found:
        reason = re.sub(r"^Value error, ", "", str(error.message)).rstrip(".")
        return f"{_name(error.param)}: {reason}."
    fault = found[0]
    return f"{_name(error.param)}: found {fault['input']!r}; expected {_expected(fault)}. Correct it."


def _expected(fault: Mapping[str, Any]) -> str:
    bounds = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}
    if fault["type"] in bounds:
        key, words = bounds[fault["type"]]
        return f"a number of {words} {fault['ctx'][key]}"
    if fault["type"].startswith(("int_", "float_")):
        return "a whole number" if fault["type"].startswith("int_") else "a number"
    if "null byte" in fault["msg"]:
        return "a path without the character NUL"
    if "surrogates not allowed" in fault["msg"]:
        return "a path in UTF-8"
    choices = re.findall("'([^']*)'", fault["msg"].partition(" is not one of ")[2])
    if choices:
        return f"{', '.join(choices[:-1])} or {choices[-1]}"
    return str(fault["msg"]).removeprefix("Value error, ").rstrip(".")


def _name(parameter: Any) -> str:
    """Return --option or ARGUMENT."""
    if parameter is None:
        return "a value"
    return str(max(parameter.opts, key=len)) if parameter.param_type_name == "option" else str(parameter.metavar)


def _meant(possibilities: Sequence[str] | None) -> str:
    return f" Did you mean {' or '.join(sorted(possibilities))}?" if possibilities else ""


def _output_line(reason: str) -> str:
    remedy = "Free space or write elsewhere." if reason == "No space left on device" else "Write elsewhere."
    return f"output: cannot be written ({reason}). {remedy}"


def _disk_line(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is None:
        is_output = error.errno in (*NO_SPACE, errno.EBADF, errno.EIO, errno.EFBIG)
        refused = f"system: found a refusal ({reason}); expected none. Free what the machine lacks, and try again."
        return _output_line(reason) if is_output else refused
    path = error.filename if isinstance(error.filename, str) else repr(error.filename)
    if error.errno in NO_PERMISSION:
        return f"{path}: this user has no permission here ({reason}). Change the permissions, or choose another path."
    if error.errno in NO_SPACE:
        return f"{path}: cannot be written ({reason}). Free space or write elsewhere."
    return f"{path}: cannot be used ({reason}). Check the path."
