"""Muster's own API, but for this: nobody is asked for a key, and everybody is the default workspace's owner.

`python -m benchmarks.bare.unguarded api`
"""

from __future__ import annotations

from fastapi import Request

import api.auth
from muster.cli import main
from muster.domain.ids import DEFAULT_USER, DEFAULT_WORKSPACE
from muster.domain.states import MemberRole
from muster.domain.tenants import Actor, Scope, Tenant

OWNER = Tenant(
    DEFAULT_WORKSPACE,
    DEFAULT_USER,
    scopes=frozenset(Scope),
    role=MemberRole.OWNER,
    actor=Actor(user_id=DEFAULT_USER),
)


async def admit(request: Request, needed: str) -> Tenant:
    return OWNER


if __name__ == "__main__":
    api.auth.admit = admit
    main()
