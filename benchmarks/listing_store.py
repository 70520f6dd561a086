"""An S3 server for measurements: it only lists and reads, from memory, and takes a set time for each request.

A real server on loopback has no network between, and lists a folder of 100,000 files slowly; a store in a cloud is the
other way round. This one stands for the latter: what counts there is how many requests follow one after the other.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.catalogue.archives import Archive, many

_PAGE = 1000
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
COUNT = "/requests"
"""Path at which it says how many requests it has answered."""


class ListingStore(ThreadingHTTPServer):
    """The server. One bucket, whose objects are an archive's below a path."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, archive: Archive, path: str, latency: float) -> None:
        """Makes it, at a free port of 127.0.0.1.

        Args:
            archive: What is in it.
            path: Path of the archive in the bucket, with a slash at its end.
            latency: Seconds that each request takes besides.
        """
        super().__init__(("127.0.0.1", 0), _Handler)
        self.latency = latency
        self.contents = {path + key: content for key, content in archive.contents.items()}
        self.keys = sorted(self.contents)
        self.rows = {path + key: _row(path + key, one.size, one.modified) for key, one in archive.stored.items()}
        self.count = 0
        self.lock = threading.Lock()


def _row(key: str, size: int, modified: object) -> str:
    stamp = f"{modified:%Y-%m-%dT%H:%M:%S.000Z}"
    tag = "&quot;d41d8cd98f00b204e9800998ecf8427e&quot;"
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{stamp}</LastModified><ETag>{tag}</ETag><Size>{size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ListingStore

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == COUNT:
            return self._answer(200, str(self.server.count).encode())
        with self.server.lock:
            self.server.count += 1
        time.sleep(self.server.latency)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        if not key:
            query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            return self._answer(200, self._list(query).encode())
        content = self.server.contents.get(key)
        if content is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>There is none.</Message></Error>")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            return self._answer(200, content)
        if int(wanted[1]) >= len(content):
            return self._answer(416, b"<Error><Code>InvalidRange</Code><Message>Too short.</Message></Error>")
        part = content[int(wanted[1]) : int(wanted[2]) + 1]
        place = f"bytes {wanted[1]}-{int(wanted[1]) + len(part) - 1}/{len(content)}"
        self._answer(206, part, {"Content-Range": place})

    def _list(self, query: dict[str, str]) -> str:
        prefix, delimiter, keys = query.get("prefix", ""), query.get("delimiter", ""), self.server.keys
        after = query.get("continuation-token") or query.get("start-after", "")
        place = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
        rows: list[str] = []
        last = ""
        while place < len(keys) and keys[place].startswith(prefix) and len(rows) < _PAGE:
            name, slash, _ = keys[place].removeprefix(prefix).partition(delimiter) if delimiter else ("", "", "")
            if slash:
                folder = prefix + name + slash
                rows.append(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>")
                # Everything in it is told by its name.
                last = folder + "\U0010ffff"
                place = bisect_left(keys, last)
                continue
            last = keys[place]
            rows.append(self.server.rows[last])
            place += 1
        more = place < len(keys) and keys[place].startswith(prefix)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        truncated = "true" if more else "false"
        return (
            f"{_HEAD}<KeyCount>{len(rows)}</KeyCount><IsTruncated>{truncated}</IsTruncated>{token}"
            f"{''.join(rows)}</ListBucketResult>"
        )

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        times = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "ETag": '"0"', "Content-Type": "application/xml"}
        for name, value in {**times, **(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Serves until its standard input ends: arguments are segments, backups, path, and milliseconds of latency."""
    segments, backups, path, latency = islice(sys.argv, 1, 5)
    store = ListingStore(many(int(segments), int(backups)), path, float(latency) / 1000)
    threading.Thread(target=store.serve_forever, daemon=True).start()
    print(store.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
