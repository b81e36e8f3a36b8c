"""As whom PostgreSQL runs. It refuses root, so a root that starts Muster has to step down.

An ordinary user runs it as himself. For root, in this order:

1. The owner of an existing data folder, when that is not root: a folder another user made stays his.
2. A user namespace in which root has another number. Files stay root's, so a checkout or a home under a
   0700 /root works. Containers often forbid it.
3. The user `nobody`, to whom the data folder is handed over. It must be able to walk to the binaries and
   the data, so folders of ours on the way are opened for passing through (0711), never for listing.

The data folder's owner is thus the memory of the choice: 2 leaves root's, 3 leaves nobody's, and the next
start goes the same way. A folder of root's on a machine where namespaces are now forbidden is handed over.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from muster.services.child import RunAs, run_to_end
from muster.services.errors import StartupError


@dataclass(frozen=True)
class Identity:
    run_as: RunAs
    uid: int
    gid: int


async def choose(folder: Path, data: Path, binary: Path) -> Identity:
    """`folder` is PostgreSQL's own under the home, `data` the cluster in it, which may not exist yet."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        if data.exists() and data.stat().st_uid != uid:
            raise StartupError(f"{data} belongs to another user; set MUSTER_HOME to a folder of your own")
        return Identity(RunAs(), uid, gid)
    if data.exists() and (owner := data.stat()).st_uid != 0:
        identity = Identity(RunAs(user=(owner.st_uid, owner.st_gid)), owner.st_uid, owner.st_gid)
        _let_pass(folder, identity)
        await _require(identity, folder, binary)
        return identity
    inside = Identity(RunAs(namespace=True), 0, 0)
    if await _runs(inside.run_as, binary):
        return inside
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartupError(
            "PostgreSQL refuses to run as root, and this machine has neither user namespaces nor a user `nobody`; "
            "start Muster as an ordinary user, or set DATABASE_URL"
        ) from None
    identity = Identity(RunAs(user=(nobody.pw_uid, nobody.pw_gid)), nobody.pw_uid, nobody.pw_gid)
    _let_pass(folder, identity)
    await _require(identity, folder, binary)
    hand_over(folder, identity)
    return identity


def hand_over(folder: Path, identity: Identity) -> None:
    for root, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(os.path.join(root, name), identity.uid, identity.gid, follow_symlinks=False)  # noqa: PTH118


def _let_pass(folder: Path, identity: Identity) -> None:
    home = folder.parent
    if home.stat().st_uid in {0, identity.uid}:
        home.chmod(home.stat().st_mode | 0o011)


async def _require(identity: Identity, folder: Path, binary: Path) -> None:
    name = pwd.getpwuid(identity.uid).pw_name if identity.uid in _known() else str(identity.uid)
    for path, remedy in ((binary, "move the checkout with its .venv"), (folder.parent, "set MUSTER_HOME")):
        closed = _first_closed(path, identity)
        if closed:
            raise StartupError(
                f"PostgreSQL refuses to run as root, and the user {name} cannot pass {closed} to reach {path}; "
                f"{remedy} to a place it can reach, or start Muster as an ordinary user"
            )
    if not await _runs(identity.run_as, binary):
        raise StartupError(f"PostgreSQL refuses to run as root, and the user {name} cannot run {binary}")


def _known() -> set[int]:
    return {entry.pw_uid for entry in pwd.getpwall()}


def _first_closed(path: Path, identity: Identity) -> Path | None:
    """The outermost folder on the way to `path` that this user may not pass."""
    for folder in reversed([path, *path.parents] if path.is_dir() else path.parents):
        seen = folder.stat()
        if seen.st_uid == identity.uid:
            allowed = seen.st_mode & 0o100
        elif seen.st_gid == identity.gid:
            allowed = seen.st_mode & 0o010
        else:
            allowed = seen.st_mode & 0o001
        if not allowed:
            return folder
    return None


async def _runs(run_as: RunAs, binary: Path) -> bool:
    code, _ = await run_to_end(run_as, [str(binary), "--version"])
    return code == 0
