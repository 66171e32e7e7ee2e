"""Files written whole or not at all."""

import contextlib
import json
import os
from pathlib import Path

from common.errors import UserError


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
            file.write(content.encode() if isinstance(content, str) else content)
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
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(path)}: cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{shown(path)}: must hold one mapping")
    return content


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
