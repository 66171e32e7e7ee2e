"""Files written whole or not at all."""

import codecs
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import TextIO

from common.errors import UserError

PLAIN = "plain signs"
_SIGNS = {"…": "...", "━": "#", "─": "-", "±": "+-", "×": "x", "·": "*", "–": "-", "→": "->", "β": "beta", "²": "^2"}


def _plain(error):
    """Of the characters that an encoding cannot hold, what a person can still read."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_SIGNS.get(sign, "?") for sign in text), error.end


def write_plainly(stream: TextIO) -> None:
    """Lets a stream write signs that its encoding cannot hold as ones that it can."""
    codecs.register_error(PLAIN, _plain)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=PLAIN)


def atomic_write(path: str | Path, content: str | bytes) -> None:
    """Writes text or bytes aside, forces them to disk and renames the file into place.

    A reader sees the earlier file or the new one, never a part. Raises `UserError` if the disk is full or the place
    cannot be written; the earlier file then stands.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise UserError(f"{shown(path)}: cannot be written: {error.strerror}; earlier results are untouched") from error


def read_json(path: str | Path) -> dict:
    """The mapping in a JSON file; empty if there is no such file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(path)}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{shown(path)}: must hold one mapping")
    return content


def sibling(path: str | Path, suffix: str, known: tuple[str, ...]) -> Path:
    """The path with another ending: in place of its own if that is one of the `known`, else behind the whole name, dots and
    all (`beta0.05` is a name, and no file `beta0` with an ending)."""
    path = Path(path)
    return path.with_name((path.stem if path.suffix in known else path.name) + suffix)


def say(text: object) -> None:
    """A line for people on standard error. Where that cannot be written, on a full disk say, what runs goes on."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def shown(path: str | Path) -> str:
    """The path as a person would type it here."""
    with contextlib.suppress(ValueError):
        return str(Path(path).resolve().relative_to(Path.cwd()))
    return str(path)


def _sync(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
