"""Puts a base backup of WAL-G's form into a bucket, reached by nothing but this process's environment."""

from __future__ import annotations

import json
import os
import sys

import obstore
from obstore.store import S3Store

bucket, _, folder = os.environ["WALG_S3_PREFIX"].removeprefix("s3://").partition("/")
store = S3Store(
    bucket,
    config={
        "endpoint": os.environ["AWS_ENDPOINT"],
        "region": os.environ["AWS_REGION"],
        "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "virtual_hosted_style_request": False,
    },
    client_options={"allow_http": True, "connect_timeout": "5s", "timeout": "20s"},
)
name = "base_000000010000000000000007"
assert "WALG_LEAK" not in os.environ, "the container's environment has reached the script"
# Scrubbed or not is the reader's business: programs do print what they should not.
print(f"pushing {sys.argv[1]} as {os.environ['AWS_SECRET_ACCESS_KEY']}", flush=True)
place = f"{folder}/basebackups_005/{name}"
obstore.put(store, f"{place}/tar_partitions/part_001.tar.lz4", b"data")
sentinel = {"LSN": 7 << 24, "FinishLSN": (7 << 24) + 256, "PgVersion": 150020, "SystemIdentifier": 7433520190412345678}
obstore.put(store, f"{place}_backup_stop_sentinel.json", json.dumps(sentinel).encode())
