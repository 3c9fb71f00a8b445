"""Many independent tasks through joblib, each kept on disk as it ends, so that a killed run goes on where it stopped.

A task is a picklable function of one job that returns bytes. Results come back in the order of the jobs and
do not depend on the backend, the number of workers or how often the run was killed: whatever a task draws
at random it draws from a seed of its own. `joblib.parallel_config(backend="dask")` sends them to a cluster.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError, StoreError, whole

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
_DIGEST = 32
_BARREN = 3
_SEED = "rng=1, or numpy.random.default_rng(1)"


def run_tasks(
    work: Callable[[Any], bytes],
    jobs: Sequence[Any],
    *,
    title: str,
    key: str = "",
    n_jobs: int | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> list[bytes]:
    """Results of `work(job)` in the order of the jobs.

    `key`: what the results depend on (`key_of`); `checkpoint`: folder where finished tasks are kept under that
    key; `n_jobs`: workers, default all cores or what `joblib.parallel_config` says; `progress(done, total)`,
    default a bar where standard error is a terminal. A worker that dies is replaced and its task done again.
    """
    shelf = None if checkpoint is None else _Shelf(Path(checkpoint), f"{title.replace(' ', '-')}-{key[:16]}")
    done = {} if shelf is None else shelf.finished(len(jobs))
    with shown(title, progress) as tell:
        tell(len(done), len(jobs))
        barren = 0
        while len(done) < len(jobs):
            before = len(done)
            try:
                for i, content in _parallel(work, [(i, job) for i, job in enumerate(jobs) if i not in done], n_jobs):
                    if shelf is not None:
                        shelf.put(i, content)
                    done[i] = content
                    tell(len(done), len(jobs))
            except BrokenExecutor:
                barren = 0 if len(done) > before else barren + 1
                if barren == _BARREN:
                    raise
    return [done[i] for i in range(len(jobs))]


def _parallel(work: Callable[[Any], bytes], jobs: list[tuple[int, Any]], n_jobs: int | None) -> Iterable[Any]:
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=workers(n_jobs), prefer="threads", return_as="generator_unordered")
    return pool(delayed(_numbered)(work, i, job) for i, job in jobs)  # type: ignore[no-any-return]


def _numbered(work: Callable[[Any], bytes], i: int, job: Any) -> tuple[int, bytes]:
    return i, work(job)


def workers(n_jobs: int | None) -> int:
    """Workers asked for; by default what `joblib.parallel_config` says, else every core. ModelError for zero."""
    from joblib import cpu_count
    from joblib.parallel import get_active_backend

    if n_jobs is None:
        said = get_active_backend(prefer="threads")[1]
        return int(said) if said not in (None, 1) else int(cpu_count())
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise ModelError(f"n_jobs must be a whole number other than zero, got {n_jobs!r}", remedy="n_jobs=-1")
    return n_jobs


def chunks(draws: int, size: int) -> list[tuple[int, int]]:
    """Jobs (first, count) of at most `size` draws each; ModelError where `draws` is no positive whole number."""
    draws = whole(draws, "draws")
    return [(first, min(size, draws - first)) for first in range(0, draws, size)]


def seed_of(rng: np.random.Generator | int | None) -> int:
    """The number that seeds every task: one drawn from a generator, a seed itself, zero for none. ModelError."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    return 0 if rng is None else whole(rng, "rng", least=0, remedy=_SEED)


def generator_of(rng: np.random.Generator | int | None) -> np.random.Generator:
    """A generator as it is, or one from a seed, zero for none; ModelError for anything else."""
    try:
        return np.random.default_rng(0 if rng is None else rng)
    except (TypeError, ValueError) as error:
        raise ModelError(f"rng must be a seed or a generator, got {rng!r}", remedy=_SEED) from error


def key_of(*parts: Any) -> str:
    """SHA-256 over the package's version and parts: text, numbers, None, bytes, arrays, and sequences of these."""
    from basismodels import __version__

    digest = hashlib.sha256(__version__.encode())
    for part in parts:
        digest.update(_bytes(part))
    return digest.hexdigest()


def _bytes(part: Any) -> bytes:
    if isinstance(part, np.ndarray):
        plain = np.ascontiguousarray(part)
        return f"{plain.dtype.str}{plain.shape}".encode() + plain.tobytes()
    if isinstance(part, (list, tuple)):
        return b"(" + b",".join(_bytes(one) for one in part) + b")"
    return part if isinstance(part, bytes) else f"{type(part).__name__}:{part!r};".encode()


def packed(array: Array) -> bytes:
    """An array as bytes that `unpacked` reads."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def unpacked(content: bytes) -> Array:
    """The array in the bytes."""
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


class _Shelf:
    """A folder of finished tasks: each file a SHA-256 and then what it is of."""

    def __init__(self, checkpoint: Path, name: str) -> None:
        self.folder = checkpoint / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot keep checkpoints in {checkpoint}: {error.strerror}") from error

    def _file(self, i: int) -> Path:
        return self.folder / f"{i:07d}.task"

    def finished(self, count: int) -> dict[int, bytes]:
        """What is there and whole; half-written files of a killed run are removed."""
        for left in self.folder.glob("*.part"):
            left.unlink(missing_ok=True)
        found = {i: self._read(i) for i in range(count)}
        return {i: content for i, content in found.items() if content is not None}

    def _read(self, i: int) -> bytes | None:
        try:
            whole = self._file(i).read_bytes()
        except FileNotFoundError:
            return None
        digest, content = whole[:_DIGEST], whole[_DIGEST:]
        return content if hashlib.sha256(content).digest() == digest else None

    def put(self, i: int, content: bytes) -> None:
        """Keeps one result, whole or not at all."""
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._file(i))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def shown(title: str, progress: Progress | None) -> Iterator[Progress]:
    """The caller's own progress, else a bar on standard error where that is a terminal."""
    if progress is not None:
        yield progress
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with _bar(title, console) as tell:
        yield tell


@contextmanager
def _bar(title: str, console: Any) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Display

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with contextlib.ExitStack() as stack:
        display = stack.enter_context(Display(*columns, console=console, transient=True))
        task = display.add_task(title, total=None)
        yield lambda done, total: display.update(task, completed=done, total=total)
