"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from basismodels.errors import BasismodelsError, ModelError, file_path


@contextmanager
def atomic(path: str | Path, refusal: type[BasismodelsError] = ModelError) -> Iterator[str]:
    """A temporary name beside `path` that takes its place on success; nothing stays behind on failure.

    Errors: `refusal` where no file can be made there.
    """
    target = file_path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise refusal(f"cannot write {target}: {error.strerror}", remedy="choose a folder that exists") from error
    os.close(handle)
    try:
        yield name
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
