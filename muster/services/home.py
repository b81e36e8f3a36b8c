"""MUSTER_HOME: the folder of the embedded services' state, and the one runtime that holds it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
from pathlib import Path

from muster.services.errors import AlreadyRunning, StartupError

# A Unix socket path ends at 107 bytes, and PostgreSQL appends "/.s.PGSQL.5432.lock".
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432.lock")


class Home:
    """Layout: lock, runtime.json, secret.key, admin.key, logs/, postgres/{data,socket}, temporal/, valkey/."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def runtime_file(self) -> Path:
        return self.path / "runtime.json"

    @property
    def secret_file(self) -> Path:
        """What keys are hashed with."""
        return self.path / "secret.key"

    @property
    def admin_file(self) -> Path:
        """The administrator's key, for the commands of whoever may read it."""
        return self.path / "admin.key"

    def read(self, file: Path) -> str | None:
        """One of the two; None when it is not there."""
        try:
            return file.read_text().strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StartupError(f"cannot read {file} ({error.strerror}); see MUSTER_HOME") from None

    def write(self, file: Path, text: str) -> None:
        """Whole or not at all, and never readable by others."""
        new = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as opened:
                opened.write(text + "\n")
            new.replace(file)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise StartupError(f"cannot write {file} ({error.strerror}); see MUSTER_HOME") from None

    def make_secret(self) -> str:
        """The one there is, or a new one."""
        found = self.read(self.secret_file)
        if found is None:
            found = secrets.token_urlsafe(48)
            self.write(self.secret_file, found)
        return found

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self) -> None:
        try:
            for folder in (self.path, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(self.path, os.W_OK | os.X_OK) or not os.access(self.logs, os.W_OK | os.X_OK):
                raise PermissionError(0, "Permission denied")
        except OSError as error:
            raise StartupError(
                f"cannot write to {self.path} ({error.strerror}); set MUSTER_HOME to a folder you may write to"
            ) from None

    def lock(self) -> None:
        """Held until the process ends, however it ends: two runtimes on one data folder would destroy it."""
        if self._lock is not None:
            return
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupError(
                f"cannot write to {self.path} ({error.strerror}); set MUSTER_HOME to a folder you may write to"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            who = f" (pid {owner})" if owner.isdigit() else ""
            raise AlreadyRunning(
                f"a Muster already runs in {self.path}{who}; stop it with `muster stop`, "
                "or set MUSTER_HOME to another folder"
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise StartupError(f"cannot write {self.path / 'lock'} ({error.strerror}); see MUSTER_HOME") from None
        self._lock = descriptor

    def unlock(self) -> None:
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None


def socket_folder(wanted: Path, owner: int, group: int) -> Path:
    """`wanted`, or where that path is too long or odd for a socket, a short private folder.

    The short one has a name that others can guess, in a folder where others can write, so it is only
    used when it is a real folder, ours, and closed to everyone else.
    """
    path = str(wanted)
    # libpq and PostgreSQL split lists of folders at commas, and PostgreSQL reads quotes and backslashes.
    odd = any(character in path for character in ",'\"\\@\n")
    if len(os.fsencode(path)) <= LONGEST_SOCKET_FOLDER and not odd:
        folder = wanted
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        usable = owner == os.getuid() and len(runtime) < 40 and os.access(runtime, os.W_OK)
        base = Path(runtime) if runtime and usable else Path("/tmp")  # noqa: S108 - checked below
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        folder = base / f"muster-{owner}-{digest}"
    try:
        folder.mkdir(mode=0o700, parents=True)
        os.chown(folder, owner, group)
    except FileExistsError:
        pass
    except OSError as error:
        raise StartupError(f"cannot make the socket folder {folder} ({error.strerror}); set MUSTER_HOME") from None
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid not in {owner, os.getuid()} or seen.st_mode & 0o077:
        raise StartupError(f"the socket folder {folder} is not private to this user; remove it, or set MUSTER_HOME")
    if seen.st_uid != owner:
        os.chown(folder, owner, group)
    return folder
