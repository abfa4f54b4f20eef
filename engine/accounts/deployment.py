"""What a deployment is called, for whatever has to be good here and nowhere else."""

import secrets

from chinwag.engine.model.clock import Clock
from chinwag.engine.model.store import DuplicateKey, InsertDeployment, Store
from chinwag.engine.model.values import Deployment


async def deployment_of(store: Store, clock: Clock) -> Deployment:
    """The deployment that a store belongs to. It gets its name at the first call, and keeps it as long as the store.

    Raises `StoreUnavailable`.
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
