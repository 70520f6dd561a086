"""Keys for encryption that `sync-credentials` does not write over: it has no word for that, and nobody to ask.

An apply that changes such a key was told to, and raises the generation of the operator's own Secret in one request with
it. So a copy of the same generation with another key says that somebody has written one of the two by hand. Which of
them reads the archives nobody here can tell, and the one that would be written over may be the last of its kind.
"""

from __future__ import annotations

from planton.cluster.api.resources import SECRET, Key, key_of
from planton.cluster.planning.told import generation_in
from planton.cluster.synchronising.sync_state import PHASE, SyncState
from planton.errors import ClusterError
from planton.translate.contract import KubernetesObject
from planton.translate.policy import ENCRYPTION_KEYS


def check_encryption(state: SyncState, desired: KubernetesObject, live: KubernetesObject | None) -> None:
    """Looks whether a Secret may be written over.

    Args:
        state: What there is.
        desired: The operator's own Secret, or a copy of it, as it is to be.
        live: The same as it is; None when there is none.

    Raises:
        ClusterError: It has a key for encryption that it would lose, and no apply says why.
    """
    own = state.own.get(state.platform.secret_name)
    # Where that is lost the copies prove what it held (sync_state.py).
    if own is None or live is None or desired["kind"] != SECRET.kind or generation_in(live) < generation_in(own):
        return
    wanted, there = desired.get("data") or {}, live.get("data") or {}
    names = sorted(name for name in ENCRYPTION_KEYS if there.get(name) and there[name] != wanted.get(name))
    if names:
        home, key = Key(SECRET, state.platform.namespace, state.platform.secret_name), key_of(desired)
        which = " and ".join(names)
        text = f"its {which} is another than in {home.subject}, and no apply has changed it: one of the two was written"
        remedy = "Find out which is right, write it into the other, then run the same command again"
        if key == home or not wanted.keys() & set(names):
            text = f"it has a {which} that no apply has given it: it was written"
            remedy = "Give it to the operator's manifest under encryption, or take it out where nobody needs it"
        raise ClusterError(
            f"{text} by hand, and without the right one nothing that is archived could be read",
            subject=key.subject,
            phase=PHASE,
            remedy=f"Nothing was written over it. {remedy}; or, where the operator's manifest is right, apply it with "
            "--allow-encryption-change.",
        )
