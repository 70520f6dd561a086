"""Follow a list of objects of the API server, across restarts of the server."""

from __future__ import annotations

import queue
import threading
import time

from sandbox._api import Api, Object
from sandbox._errors import ApiError

_WATCH_SECONDS = 300
_RETRY_SECONDS = 0.3


class Follower(threading.Thread):
    """A thread that keeps a queue fed with the present objects of one list.

    Each entry of the queue is the whole list, by uid, whenever something in it changed; or the exception that ended the
    thread, so that it never dies unnoticed.
    """

    def __init__(self, api: Api, path: str, selector: str) -> None:
        """Prepare; call `start`.

        Args:
            api: client that may list and watch.
            path: path of the list, without a query.
            selector: URL-encoded label selector.
        """
        super().__init__(name=f"follow {path}", daemon=True)
        self._api = api
        self._path = f"{path}?labelSelector={selector}"
        self.snapshots: queue.Queue[dict[str, Object] | BaseException] = queue.Queue()

    def run(self) -> None:
        """List, watch, and begin again whenever the watch ends."""
        try:
            while True:
                try:
                    self._follow()
                except ApiError:
                    # Unreachable, restarting, or the version is too old to watch from: a new list settles each.
                    time.sleep(_RETRY_SECONDS)
        except BaseException as error:
            self.snapshots.put(error)

    def _follow(self) -> None:
        listed = self._api.request("GET", self._path)
        items: dict[str, Object] = {item["metadata"]["uid"]: item for item in listed["items"]}
        self.snapshots.put(dict(items))
        version = listed["metadata"]["resourceVersion"]
        path = f"{self._path}&watch=1&resourceVersion={version}&timeoutSeconds={_WATCH_SECONDS}"
        for event in self._api.stream(path, timeout=_WATCH_SECONDS + 30):
            item = event["object"]
            if event["type"] == "ERROR":
                return
            if event["type"] == "DELETED":
                items.pop(item["metadata"]["uid"], None)
            else:
                items[item["metadata"]["uid"]] = item
            self.snapshots.put(dict(items))
