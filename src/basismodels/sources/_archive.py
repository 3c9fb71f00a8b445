"""Files of a public archive: fetched with the checksum beside them, kept, and read without trusting them.

A file counts as fetched when it has the SHA-256 that the archive publishes beside it; what is there already is not
fetched again, so that a killed run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from basismodels.errors import DataError

HOSTS = frozenset(("data.binance.vision",))
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
_LARGEST = 2**30
_CHUNK = 1 << 20
_AGAIN = "run the same command again later: what was fetched is kept"
_SUM = re.compile(r"^([0-9a-f]{64}) [ *]?(\S+)\s*$")
_TRIES = 3


@dataclass(frozen=True)
class Fetched:
    """One file of the archive: its address, SHA-256, size, date of last change, and where it is kept."""

    url: str
    sha256: str
    bytes: int
    modified: str
    path: Path


@dataclass
class Archive:
    """A public archive under `base`, kept in `folder`; `wait`: factor in seconds of the pauses between attempts."""

    base: str
    folder: Path
    wait: float = 1.0
    _session: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_host(self.base)
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob("tmp*"):
            left.unlink(missing_ok=True)

    def fetch(self, path: str) -> Fetched | None:
        """The file at `path` below the base, None where the archive has not published it.

        Errors: DataError for a server that stays busy, a redirect, a checksum that is none or does not fit.
        """
        url = f"{self.base}/{path}"
        said = self._text(f"{url}.CHECKSUM")
        if said is None:
            return None
        digest = _digest(said, url)
        kept, facts = self._kept(url, digest)
        return Fetched(url, digest, kept.stat().st_size, facts.get("Last-Modified", ""), kept)

    def _kept(self, url: str, digest: str) -> tuple[Path, dict[str, str]]:
        import pooch

        facts: dict[str, str] = {}

        def download(address: str, output: str, _: Any) -> None:
            facts.update(self._save(address, Path(output)))

        name = urlsplit(url).path.strip("/").replace("/", "_")
        pooch.get_logger().setLevel("WARNING")
        try:
            found = pooch.retrieve(url, f"sha256:{digest}", fname=name, path=self.folder, downloader=download)
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"{url} does not have the checksum published beside it", remedy=_AGAIN) from error
        return Path(found), facts

    def _save(self, url: str, output: Path) -> dict[str, str]:
        """Writes what is at an address; a connection that breaks off is tried again."""
        import requests

        for left in range(_TRIES - 1, -1, -1):
            try:
                with self._get(url) as answer, output.open("wb") as file:
                    size = 0
                    for chunk in answer.iter_content(_CHUNK):
                        size += len(chunk)
                        if size > _LARGEST:
                            raise DataError(f"{url} is larger than {_LARGEST:,} bytes")
                        file.write(chunk)
                    return dict(answer.headers)
            except requests.RequestException as error:
                if not left:
                    raise DataError(f"{url} breaks off: {_line(error)}", remedy=_AGAIN) from error
        raise AssertionError("unreachable")

    def _text(self, url: str) -> str | None:
        import requests

        try:
            with self._get(url) as answer:
                if answer.status_code == 404:
                    return None
                return str(answer.raw.read(4096, decode_content=True).decode("utf-8", "replace"))
        except requests.RequestException as error:
            raise DataError(f"{url} cannot be read: {_line(error)}", remedy=_AGAIN) from error

    def _get(self, url: str) -> Any:
        """An answer of status 200 or 404; DataError for a redirect and for a server that stays busy."""
        import requests

        try:
            answer = self._open().get(url, stream=True, timeout=30, allow_redirects=False)
        except requests.exceptions.RetryError as error:
            raise DataError(f"{urlsplit(url).netloc} is busy or refuses: {_line(error)}", remedy=_AGAIN) from error
        except requests.ConnectionError as error:
            raise DataError(f"{urlsplit(url).netloc} cannot be reached: {_line(error)}", remedy=_AGAIN) from error
        if answer.is_redirect:
            raise DataError(f"{url} redirects to {answer.headers['Location'][:100]}; that is refused")
        if answer.status_code not in (200, 404):
            raise DataError(f"{url} answers with status {answer.status_code}", remedy=_AGAIN)
        return answer

    def _open(self) -> Any:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        if self._session is None:
            again = Retry(
                total=5, backoff_factor=self.wait, backoff_max=60.0, backoff_jitter=0.2 * self.wait,
                status_forcelist=(418, 429, 500, 502, 503, 504), respect_retry_after_header=True,
            )  # fmt: skip
            self._session = requests.Session()
            self._session.trust_env = False
            for scheme in ("https://", "http://"):
                self._session.mount(scheme, HTTPAdapter(max_retries=again))
        return self._session


def check_host(base: str) -> None:
    """DataError unless the address is https on a known host, or a loopback address."""
    parts = urlsplit(base)
    if parts.hostname in _LOOPBACK or (parts.scheme == "https" and parts.hostname in HOSTS):
        return
    raise DataError(f"{base} is not a known archive; known are {', '.join(sorted(HOSTS))}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def _digest(said: str, url: str) -> str:
    found = _SUM.match(said)
    if not found or found[2] != url.rsplit("/", 1)[1]:
        shown = " ".join(said.split())[:60]
        raise DataError(f"{url}.CHECKSUM holds no checksum of that file but {shown!r}", remedy=_AGAIN)
    return found[1]


def only_member(path: Path, stem: str) -> bytes:
    """The one CSV in a zip, read in memory and never unpacked to disk.

    Errors: DataError for several members, another name, more than 1 GiB, or a damaged file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].filename != f"{stem}.csv":
                names = [info.filename[:80] for info in members[:3]]
                raise DataError(f"{path.name} should hold {stem}.csv alone", rows=names)
            if members[0].file_size > _LARGEST:
                raise DataError(f"{path.name} unpacks to {members[0].file_size:,} bytes; that is refused")
            return _read(archive, members[0], path)
    except (zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{path.name} is damaged: {_line(error)}", remedy=_AGAIN) from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    out = io.BytesIO()
    with archive.open(member) as source:
        while chunk := source.read(_CHUNK):
            if out.tell() + len(chunk) > min(_LARGEST, member.file_size):
                raise DataError(f"{path.name} unpacks to more than it says; that is refused")
            out.write(chunk)
    return out.getvalue()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
