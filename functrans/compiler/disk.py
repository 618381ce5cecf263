"""Machine code on disk, for the processes to come: files under names that say what they were made from.

A file is written under another name and then given its own, so that whoever reads finds all of it or nothing, and
begins with a checksum of its name and content. Nothing here raises: whatever is wrong with a file or the folder,
nothing is found, or nothing is kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b

from ..settings import config

#: What a file begins with; another one for another format.
MAGIC = b"functrans machine code 1\n"
#: The bytes of a checksum.
CHECKSUM = 16
#: The folders within the folder, by the first digits of names. Each is kept within its share of the size.
SHARES = 256
#: What a file takes on a disk is a multiple of this.
BLOCK = 4096
#: Seconds after which the use of a file is noted again, and after which half-written ones are nobody's any more.
HOUR = 3600.0


class DiskCache:
    """A folder of files, by keys that are hexadecimal digests.

    Args:
        folder: need not be there.
        size: that of all files together at most, in bytes. What was used least recently goes first.
    """

    def __init__(self, folder: str, size: int):
        self.folder = folder
        self.share = size // SHARES

    def path(self, key: str) -> str:
        """Where the content of a key is."""
        return os.path.join(self.folder, key[:2], key[2:])

    def get(self, key: str) -> bytes | None:
        """The content of a key; None if there is none that can be trusted."""
        try:
            with open(self.path(key), "rb") as file:
                status = os.fstat(file.fileno())
                found = file.read()
            if time.time() - status.st_mtime > HOUR:
                with suppress(OSError):
                    os.utime(self.path(key))
        except (OSError, MemoryError):
            return None
        start = len(MAGIC) + CHECKSUM
        content = found[start:]
        return content if _is_ours(status) and found[:start] == _head(key, content) else None

    def put(self, key: str, content: bytes) -> None:
        """Keep a content, unless that is impossible or takes more room than there is."""
        path, flags = self.path(key), os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        if _room(len(MAGIC) + CHECKSUM + len(content)) > self.share:
            return
        folder = os.path.dirname(path)
        unfinished = os.path.join(folder, f".{os.urandom(8).hex()}")
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            try:
                with open(os.open(unfinished, flags, 0o600), "wb") as file:
                    file.write(_head(key, content) + content)
                os.replace(unfinished, path)
            except BaseException:
                with suppress(OSError):
                    os.remove(unfinished)
                raise
            self._make_room(folder)
        except OSError:
            return

    def clear(self) -> None:
        """Remove all files, and the folders if nothing else is in them."""
        for share in range(SHARES):
            folder = os.path.join(self.folder, f"{share:02x}")
            for _, _, path in _files(folder):
                with suppress(OSError):
                    os.remove(path)
            with suppress(OSError):
                os.rmdir(folder)
        with suppress(OSError):
            os.rmdir(self.folder)

    def _make_room(self, folder: str) -> None:
        """Remove the files that were used least recently until the rest is well within the share."""
        now = time.time()
        found = sorted(_files(folder), reverse=True)
        for used, _, path in found:
            if os.path.basename(path).startswith(".") and now - used > HOUR:
                with suppress(OSError):
                    os.remove(path)
        if sum(size for _, size, _ in found) <= self.share:
            return
        kept = 0
        for number, (_, size, path) in enumerate(found):
            kept += size
            if number and kept > self.share * 3 // 4:
                with suppress(OSError):
                    os.remove(path)


def _head(key: str, content: bytes) -> bytes:
    return MAGIC + blake2b(content, digest_size=CHECKSUM, key=key.encode()).digest()


def _room(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _is_ours(status: os.stat_result) -> bool:
    """Whether a file is this user's own or the administrator's: what is in it will be run."""
    return not hasattr(os, "getuid") or status.st_uid in (os.getuid(), 0)


def _files(folder: str) -> Iterator[tuple[float, int, str]]:
    """When it was used last, the size, and the path of each file in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                yield status.st_mtime, _room(status.st_size), entry.path


def disk_cache() -> DiskCache | None:
    """The cache, if the settings want one and there is a place for it."""
    return _cache() if config.disk_cache else None


def clear_disk() -> None:
    """Remove the files, even if the cache is turned off."""
    found = _cache()
    if found is not None:
        found.clear()


def _cache() -> DiskCache | None:
    given = os.environ.get("FUNCTRANS_CACHE_DIR")
    folder = os.path.abspath(os.path.expanduser(given)) if given else _usual_folder()
    if not os.path.isabs(folder):
        return None  # the system knows of no home
    return DiskCache(os.path.join(folder, "objects"), config.disk_cache_size << 20)


def _usual_folder() -> str:
    """Where programs of this user keep what they can make again."""
    import platformdirs

    return platformdirs.user_cache_dir("functrans", appauthor=False)
