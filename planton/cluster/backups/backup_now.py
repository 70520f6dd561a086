"""A base backup now: through the database's own pod, by the very line of its schedule.

Spilo 4.0-p3 and 4.1 (postgres-appliance/scripts/configure_spilo.py, write_crontab) have cron run
`envdir "<folder>" /scripts/postgres_backup.sh "<PGDATA>"` as the user postgres, with nothing in the environment but
PATH (runit/cron/run: `env -i`). That line is taken out of the pod's crontab, so that neither the folder, which differs
between the two, nor what is in it can differ from the schedule's.

The script says nothing by its exit code: it ends with 0 also when the base backup failed, or when it made none. And
whoever reads its output may be cut off at any time; wal-g would then die of its next line. So it runs apart from the
connection, writes into a file, and the file is followed, again after each cut. That a backup was made is said by the
bucket alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn, TypeAlias

from planton.cluster.api.connection import ApiError
from planton.cluster.api.exec import run_in_pod
from planton.cluster.api.resources import POD, POSTGRESQL, Key
from planton.cluster.api.server import Server
from planton.cluster.changes import ProgressEvent
from planton.cluster.patroni import CONTAINER, PatroniMember, member_of
from planton.errors import ClusterError, RefusedError, WaitError
from planton.translate.contract import KubernetesObject

Newest: TypeAlias = Callable[[], "tuple[str, datetime] | None"]
"""Reads name and time of the newest base backup in the bucket; None when there is none."""

_PHASE = "backup"
# In seconds. What the script writes last is there before its end; a store may show a new object a moment later.
_LAST_LOOKS = (0.0, 2.0, 5.0, 10.0)
_RECONNECT = 5.0
_LAST_LINES = 15

# Both get a word that planton made up: the name of their files, and what marks their own lines in the output.
_FILES = """
umask 077
folder=${RW_DIR:-/run}/tmp
[ -d "$folder" ] && [ -w "$folder" ] || folder=/tmp
file=$folder/planton-backup-$1
"""
START = (
    """
set -u
say() { echo "planton:$word:$1"; }
word=$1
"""
    + _FILES
    + r"""
table=$(crontab -lu postgres 2>/dev/null || crontab -l 2>/dev/null)
line=$(printf '%s\n' "$table" | grep -E '^[^#].*[[:space:]]envdir [^ ]+ [^ ]*/postgres_backup\.sh ' | head -n 1)
[ -n "$line" ] || { say no-schedule; exit 0; }
command="envdir ${line#*envdir }"
path=$(printf '%s\n' "$table" | sed -n 's/^PATH=//p' | head -n 1)
path=${path:-$PATH}
read -r _ _ script data <<< "$command"
data=${data#\"}
data=${data%\"}
# By their arguments, one by one: others wait for their turn with the same words among theirs (patroni_wait.sh).
for one in /proc/[0-9]*/cmdline; do
    arguments=()
    mapfile -d '' -t arguments 2>/dev/null < "$one" || continue
    [ "${#arguments[@]}" -ge 3 ] || continue
    if [ "${arguments[1]} ${arguments[2]}" = "$script $data" ] ||
        { [ "${arguments[0]##*/}" = wal-g ] && [ "${arguments[1]} ${arguments[2]}" = "backup-push $data" ]; }; then
        say running
        exit 0
    fi
done
for one in "$folder"/planton-backup-*.ended; do
    rm -f "$one" "${one%.ended}.log" "${one%.ended}.pid"
done
if [ "$(id -u)" = 0 ]; then
    set -- env -i PATH="$path" su postgres -c "export PATH='$path'; $command"
else
    set -- env -i PATH="$path" HOME="$HOME" LOGNAME=postgres SHELL=/bin/sh /bin/sh -c "$command"
fi
setsid bash -c 'echo $$ > "$0.pid"; "$@"; echo $? > "$0.part"; mv "$0.part" "$0.ended"' "$file" "$@" \
    > "$file.log" 2>&1 < /dev/null &
for i in 1 2 3 4 5 6 7 8 9 10; do [ -s "$file.pid" ] && break; sleep 0.2; done
say started
"""
)
FOLLOW = (
    """
set -u
say() { echo "planton:$word:$1"; }
word=$1
next=$2
beat=0
"""
    + _FILES
    + r"""
[ -e "$file.log" ] || { say gone; exit 0; }
while :; do
    # Looked at in this order: what is written until then is in the file.
    alive=; [ -d "/proc/$(cat "$file.pid" 2>/dev/null)" ] && alive=1
    ended=$(cat "$file.ended" 2>/dev/null)
    lines=$(wc -l < "$file.log")
    [ "$lines" -ge "$next" ] && sed -n "$next,${lines}p" "$file.log" && next=$((lines + 1))
    # Its last line may have no end.
    [ -n "$ended" ] && { sed -n "$next,\$p" "$file.log"; [ -z "$(tail -c 1 "$file.log")" ] || echo; say ended; exit 0; }
    [ -n "$alive" ] || { [ -e "$file.ended" ] || { say died; exit 0; }; }
    beat=$((beat + 1))
    # What is silent is cut by proxies.
    [ $((beat % 10)) = 0 ] && say alive
    sleep 1
done
"""
)


@dataclass(frozen=True, slots=True)
class PlannedBackup:
    """A base backup that can be made.

    Attributes:
        namespace: Namespace of the database.
        name: Name of its custom resource.
        pod: The pod that will make it.
        effects: What else that does, in words, to be shown before.
    """

    namespace: str
    name: str
    pod: str
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A base backup that was made.

    Attributes:
        name: Its name in the archive.
        modified: When the store got its sentinel.
        pod: The pod that made it.
        seconds: How long that took.
        notes: What is worth saying of it.
        lines: The last lines of the script's output, known credentials hidden.
    """

    name: str
    modified: datetime
    pod: str
    seconds: float
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = field(default=(), repr=False)


def plan_backup(server: Server, namespace: str, name: str) -> PlannedBackup:
    """Looks whether a base backup can be made, and by which pod.

    Args:
        server: The API server.
        namespace: Namespace of the database.
        name: Name of its custom resource, such as `db-orders`.

    Returns:
        What would be done.

    Raises:
        RefusedError: None can be made, with the reason.
        ClusterError: The server refused.
    """
    key = Key(POSTGRESQL, namespace, name)
    database = server.get(key)
    if database is None:
        raise RefusedError([f"{key.subject} is not there: no base backup of it can be made"])
    spec = database.get("spec") or {}
    if spec.get("standby"):
        raise RefusedError(
            [f"{key.subject} is a standby: it follows another's archive and makes no backups of its own before it is "
             "promoted. Make one of the database that it follows"]
        )  # fmt: skip
    if spec.get("numberOfInstances") == 0:
        raise RefusedError([f"{key.subject} is stopped (no instances): nothing runs that could make a backup"])
    pods = server.list(POD, namespace, labels=f"cluster-name={name}") or []
    members = [
        (member_of(pod), _environment(pod)) for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
    ]
    settings = next((env for member, env in members if member.leads), members[0][1] if members else {})
    if members and _is_off(settings):
        raise RefusedError([f"{key.subject} has backups off: it has no archive to which a base backup could go"])
    # Spilo, scripts/postgres_backup.sh: a primary then makes none, and a replica otherwise.
    by_replica = settings.get("WALG_BACKUP_FROM_REPLICA") == "true"
    wanted = [one for one, _ in members if _can_make_it(one, by_replica)]
    if not wanted:
        what = "replica, which alone makes its backups (WALG_BACKUP_FROM_REPLICA)," if by_replica else "primary"
        troubles = "".join(f"; {one.name}: {one.trouble}" for one, _ in members if one.trouble)
        raise RefusedError([f"{key.subject} has no {what} that is ready{troubles}"])
    retained = settings.get("BACKUP_NUM_TO_RETAIN") or "5"
    return PlannedBackup(
        namespace,
        name,
        wanted[0].name,
        (
            f"makes a base backup in pod {wanted[0].name} by the line of its schedule; reads the whole database",
            f"retention runs after it, as after each by schedule (BACKUP_NUM_TO_RETAIN {retained}): base backups that "
            "are old enough by then, and WAL before them, are deleted",
        ),
    )


def make_backup(
    server: Server,
    planned: PlannedBackup,
    *,
    newest: Newest,
    timeout: float,
    progress: Callable[[ProgressEvent], None] = lambda event: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> BackupMade:
    """Makes a base backup and waits for it.

    Args:
        server: The API server; its scrubber knows the credentials.
        planned: What plan_backup gave.
        newest: Reads the newest base backup in the bucket.
        timeout: How long it may take, in seconds. What has begun goes on after it.
        progress: Is told each line of the script's output as a subject.
        clock: Gives the time in seconds.
        sleep: Waits a number of seconds.

    Returns:
        The base backup, as it is in the bucket.

    Raises:
        RefusedError: One is being made already, or the pod has no schedule.
        WaitError: It was not there in time; it may still come.
        ClusterError: The script ended without a new base backup, its pod went away, or the server refused.
        StoreError: The bucket cannot be read.
    """
    making = _Making(server, planned, newest, progress, clock, sleep, deadline=clock() + timeout)
    return making.run(timeout)


class _Making:
    """One base backup that is being made."""

    def __init__(
        self,
        server: Server,
        planned: PlannedBackup,
        newest: Newest,
        progress: Callable[[ProgressEvent], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        *,
        deadline: float,
    ) -> None:
        self._server, self._planned, self._newest = server, planned, newest
        self._progress, self._clock, self._sleep, self._deadline = progress, clock, sleep, deadline
        self._start = clock()
        self._word = secrets.token_hex(8)
        self._said = ""
        self._seen = 0
        self._lines: list[str] = []
        self._before: tuple[str, datetime] | None = None

    @property
    def _subject(self) -> str:
        return Key(POD, self._planned.namespace, self._planned.pod).subject

    def run(self, timeout: float) -> BackupMade:
        """Makes it."""
        # Before anything is begun: a bucket that cannot be read would leave a backup of which nobody knows.
        self._before = self._newest()
        self._begin()
        end = self._follow()
        if end == "time":
            # The backup may be there, and only retention still going on.
            made = self._look()
            if made is None:
                raise WaitError(
                    [f"{self._subject}: the base backup goes on; look for it later with planton backups list"],
                    seconds=timeout,
                )
            return self._made(made, "retention after it had not ended in time; it goes on")
        for pause in _LAST_LOOKS:
            self._sleep(pause)
            if made := self._look():
                notes = {"gone": ["the end of its script was not seen: the file with its output is gone"]}
                notes["died"] = ["its script was killed after the base backup was made: retention has not ended"]
                notes["away"] = ["its pod went away after the base backup was made: retention may not have ended"]
                return self._made(made, *notes.get(end, []))
        self._fail(end)

    def _begin(self) -> None:
        code = self._exec(START, self._word)
        if self._said == "running":
            raise RefusedError(
                [f"{self._subject}: a base backup is being made already; wait until it is there (planton backups list)"]
            )
        if self._said == "no-schedule":
            raise RefusedError(
                [f"{self._subject}: its crontab has no base backups: they are off in this pod, or it has not finished "
                 "its start. If its manifest has backups on, apply it and see planton status"]
            )  # fmt: skip
        # Cut off in the middle of it: following tells whether it began.
        if self._said != "started" and code is not None:
            raise ClusterError(
                f"the backup cannot be started (exit status {code}): {' / '.join(self._lines[-3:])}",
                subject=self._subject,
                phase=_PHASE,
                remedy="Is it a pod of Spilo 4? Its container needs bash, crontab and envdir.",
            )
        self._lines.clear()
        self._seen = 0

    def _follow(self) -> str:
        """Follows the script until it ends, as often as the connection is cut.

        Returns:
            `ended`, `died`, `gone` (nothing is known of it any more), `away` (the pod is), or `time`.
        """
        while self._clock() < self._deadline:
            self._said = ""
            try:
                self._exec(FOLLOW, self._word, str(self._seen + 1))
            except ApiError as error:
                if error.status in (400, 404, 500) and not self._is_there():
                    return "away"
                # 401: whoever logs in again meanwhile finds the backup in the bucket.
                if error.status in (401, 403):
                    raise
            if self._said in ("ended", "died", "gone"):
                return self._said
            if self._clock() >= self._deadline:
                break
            self._tell("the connection to the pod was cut; the backup goes on, connecting again")
            self._sleep(_RECONNECT)
        return "time"

    def _exec(self, script: str, *arguments: str) -> int | None:
        command = ["/bin/bash", "-c", script, "planton", *arguments]
        return run_in_pod(
            self._server,
            self._planned.namespace,
            self._planned.pod,
            command,
            container=CONTAINER,
            on_line=self._hear,
            until=self._deadline,
            clock=self._clock,
        )

    def _hear(self, line: str) -> None:
        head, _, word = line.rpartition(":")
        if head == f"planton:{self._word}":
            self._said = word
            return
        self._seen += 1
        self._lines = [*self._lines, line][-_LAST_LINES:]
        if line.strip():
            self._tell(line)

    def _tell(self, text: str) -> None:
        self._progress(ProgressEvent(_PHASE, 0, 0, f"{self._planned.pod}: {text}"))

    def _is_there(self) -> bool:
        """Whether the pod is still the one that was begun in, as far as its name says."""
        pod = self._server.get(Key(POD, self._planned.namespace, self._planned.pod))
        return pod is not None and not pod["metadata"].get("deletionTimestamp")

    def _look(self) -> tuple[str, datetime] | None:
        """Reads the newest base backup, if it is one that was not there before. Both times are the store's."""
        found = self._newest()
        if found is None or found == self._before:
            return None
        return found if self._before is None or found[1] >= self._before[1] else None

    def _made(self, made: tuple[str, datetime], *notes: str) -> BackupMade:
        seconds = round(self._clock() - self._start, 1)
        return BackupMade(*made, self._planned.pod, seconds, notes, tuple(self._lines))

    def _fail(self, end: str) -> NoReturn:
        why = {
            "ended": "its script has ended, and no new base backup is in the archive",
            "died": "its script was killed, and no new base backup is in the archive",
            "gone": "the container has no word of it: it was restarted, or never began it; no new base backup is in "
            "the archive",
            "away": "the pod went away in the middle of it, and no new base backup is in the archive",
        }[end]
        last = "".join(f"\n  {line}" for line in self._lines)
        raise ClusterError(
            f"{why}. The last lines of its output:{last}" if last else f"{why}. It wrote nothing",
            subject=self._subject,
            phase=_PHASE,
            remedy="Backups by its schedule fail in the same way. planton check says whether the bucket is writable.",
        )


def _environment(pod: KubernetesObject) -> Mapping[str, str]:
    """Plain entries of the container's environment; of two with one name the kubelet takes the last."""
    containers = (pod.get("spec") or {}).get("containers") or ()
    chosen: Mapping[str, Any] = next((one for one in containers if one.get("name") == CONTAINER), {})
    return {
        str(one.get("name")): str(one.get("value") or "") for one in chosen.get("env") or () if "valueFrom" not in one
    }


def _is_off(settings: Mapping[str, str]) -> bool:
    """Whether the prefix is there and empty, which is how planton switches backups off. Else the crontab says it."""
    return "WALG_S3_PREFIX" in settings and not settings["WALG_S3_PREFIX"]


def _can_make_it(member: PatroniMember, by_replica: bool) -> bool:
    if not member.ready:
        return False
    return member.state == "running" and member.role == "replica" if by_replica else member.is_primary
