"""What a deployment is called, for whatever has to be good here and nowhere else."""

import secrets
from collections.abc import Callable

from chinwag.engine.model.ids import now_us
from chinwag.engine.model.store import DuplicateKey, InsertDeployment, Store
from chinwag.engine.model.values import Deployment


async def deployment_of(store: Store, clock: Callable[[], int] = now_us) -> Deployment:
    """The deployment that a store belongs to. It gets its name at the first call, and keeps it as long as the store.

    `clock` gives microseconds since 1970. Raises `StoreUnavailable`.
    """
    known = await store.deployment()
    if known is not None:
        return known
    made = Deployment(id=secrets.token_urlsafe(16), created_us=clock())
    try:
        await store.commit([InsertDeployment(deployment=made)])
    except DuplicateKey:  # another process was first
        known = await store.deployment()
        if known is None:
            raise
        return known
    return made
