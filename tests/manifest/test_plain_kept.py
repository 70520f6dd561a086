"""What is kept of texts without quotes, among which can be credentials."""

from __future__ import annotations

import planton
from planton.manifest import _plain
from tests import manifests

# Begins like a number, so that all of it is looked at.
SECRET = "7sentinelWithoutQuotes0001"


def test_a_credential_without_quotes_is_not_kept() -> None:
    text = manifests.operator().replace('"sentinel/secret+key=0002"', SECRET)
    assert SECRET in text
    planton.loads(text)
    caches = [one for one in vars(_plain).values() if hasattr(one, "cache_info")]
    assert caches
    for cache in caches:
        hits = cache.cache_info().hits
        cache(SECRET)
        assert cache.cache_info().hits == hits
        cache.cache_clear()
