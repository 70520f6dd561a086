"""Reads a kubeconfig and makes a connection of it."""

from __future__ import annotations

import binascii
import errno
import logging
import os
import re
import threading
from collections.abc import Callable
from typing import Any

from planton.cluster.api import client_files
from planton.cluster.api.connection import MAX_THREADS, ClusterIdentity, Connection
from planton.cluster.api.impersonation import headers_of
from planton.cluster.api.pooled_client import PooledClient
from planton.cluster.api.proxy import set_proxy
from planton.errors import ClusterError
from planton.sensitive import looks_like_key


def _settings(library: Any) -> Any:
    """Makes the client's configuration as every connection of ours has it."""
    settings = library.client.Configuration()
    settings.api_key = _Keys()
    settings.connection_pool_maxsize = MAX_THREADS
    # Attempts are counted here, where it is known which requests may be sent twice.
    settings.retries = False
    return settings


class _Keys(dict[str, str]):
    """The client's credentials under both names that its versions use.

    36.0.0 writes a kubeconfig's token under the one and reads the other, and so sends none:
    https://github.com/kubernetes-client/python/blob/v36.0.0/kubernetes/client/configuration.py (auth_settings).
    """

    def __setitem__(self, name: str, value: str) -> None:
        for one in ("authorization", "BearerToken") if name in ("authorization", "BearerToken") else (name,):
            super().__setitem__(one, value)


class _Complaints:
    """What the client only logs, by the root logger: why the plugin of a kubeconfig gave no credentials.

    The rest of such a record is what the plugin wrote on stderr. That can be anything, and reaches no log.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        # Without any handler the client's call would set the whole process up to log.
        self._handler = logging.NullHandler()

    def __enter__(self) -> _Complaints:
        logging.getLogger().addHandler(self._handler)
        logging.getLogger().addFilter(self._passes)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeFilter(self._passes)
        logging.getLogger().removeHandler(self._handler)

    def _passes(self, record: logging.LogRecord) -> bool:
        """Keeps the client's own words, and keeps the record from everybody else."""
        if record.module == "kube_config":
            text = record.getMessage().partition("\n")[0].partition(". ")[0]
            # It is also quoted in which version the plugin speaks: what stands there can be anything, too.
            text = _OTHER_VERSION.sub(r"\1…", text)
            is_plain = text.startswith(("exec: ", "[Errno ")) and not any(map(looks_like_key, _WORDS.findall(text)))
            self.texts.append(text.removeprefix("exec: ") if is_plain else "it failed")
        return record.module != "kube_config"


_OTHER_VERSION = re.compile(r"(plugin api version )(?!client\.authentication\.k8s\.io/[a-z0-9]{1,12} ).*")
_WORDS = re.compile(r"[^\s/'\"]+")
_NO_FILE = "File does not exist: "


def _own_words(problem: str) -> str:
    """Leaves a path out that can be a key: one that was pasted as client-key, say, and belongs into client-key-data."""
    path = problem.partition(_NO_FILE)[2]
    # It comes with the folder of the kubeconfig before it, and a key may have slashes.
    if any(looks_like_key(path[at:]) for at in range(len(path)) if at == 0 or path[at - 1] == "/"):
        return (
            "a file that it names does not exist; its path is not shown, since it can be a key: what is in base64 "
            "belongs into client-key-data, client-certificate-data and certificate-authority-data"
        )
    return problem


def without_user(url: str) -> str:
    """Takes a user and password out of a URL.

    Args:
        url: The URL.

    Returns:
        The same without them, and without a query. A password with a slash in it makes a path of what follows.
    """
    scheme, separator, rest = url.rpartition("@")[2].rpartition("://")
    if not separator and "://" in url:
        scheme, separator = url.partition("://")[:2]
    return f"{scheme}{separator}{rest}".partition("?")[0].partition("#")[0]


def open_connection(kubeconfig: str | os.PathLike[str] | None, context: str | None) -> Connection:
    """Reads the kubeconfig and makes a connection; asks the server nothing.

    Args:
        kubeconfig: Path; None for KUBECONFIG, else ~/.kube/config.
        context: Name of the context; None for the current one.

    Returns:
        The connection.

    Raises:
        ClusterError: The kubeconfig cannot be used.
    """
    # Imported here: it takes longer than everything else together.
    import kubernetes.client
    import kubernetes.config

    library: Any = kubernetes
    config = library.config
    # Not left to the library, which looks at KUBECONFIG when it is imported.
    given = os.fspath(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")
    shown = given or os.path.expanduser("~/.kube/config")
    is_there = any(os.path.exists(os.path.expanduser(path)) for path in shown.split(os.pathsep))
    if not is_there and any(map(looks_like_key, (shown, *shown.split(os.pathsep)))):
        # A variable of a pipeline has often what is in a file, and not its path.
        raise ClusterError(
            "what was given as its path is the text of one, or a key; it is not shown",
            subject="kubeconfig",
            phase="connect",
            remedy="Write it into a file that only you can read, and give its path with --kubeconfig or KUBECONFIG.",
        )
    settings = _settings(library)
    problem = ""
    remedy = "Give the file with --kubeconfig and the context with --context; in Python: connect(kubeconfig, context)."
    acting_as: tuple[tuple[str, str], ...] = ()
    complaints = _Complaints()
    with complaints:
        try:
            if not is_there:
                raise FileNotFoundError(errno.ENOENT, "no such file")
            # Read once, and not by load_kube_config: what it passes over is looked for in the same text.
            merged = config.kube_config.KubeConfigMerger(shown).config
            if merged is None:
                raise config.ConfigException("no configuration in it")
            name = context or merged["current-context"]
            names = [one["name"] for one in merged["contexts"]]
            if name in names:
                loader = config.kube_config.KubeConfigLoader(
                    merged, active_context=name, config_base_path=None, temp_file_path=client_files.folder()
                )
                loader.load_and_set(settings)
                acting_as, problem = _complete(settings, merged, name)
            else:
                problem = f'it has no context "{name}", only {", ".join(names) or "none"}'
        except config.ConfigException as error:
            problem = _own_words(str(error).splitlines()[0])
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except Exception as error:  # A broken file raises anything, and the parser's words quote it.
            problem = _not_a_kubeconfig(error)
    if complaints.texts and not problem and not settings.api_key and not settings.key_file:
        problem = f"the plugin of context {name} gives no credentials: {complaints.texts[-1]}"
        remedy = "Run the command under users[].user.exec of the kubeconfig by hand: it says why."
    if problem:
        raise ClusterError(problem, subject=f"kubeconfig {shown}", phase="connect", remedy=remedy)
    paths = os.pathsep.join(os.path.abspath(os.path.expanduser(path)) for path in shown.split(os.pathsep))
    return _connection(library, settings, name, shown, lambda: open_connection(paths, name), acting_as)


def _complete(settings: Any, merged: Any, name: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Reads what the client passes over: gives the headers that say as whom its user acts, or what is wrong."""
    context = merged["contexts"].get_with_name(name)["context"]
    cluster = merged["clusters"].get_with_name(context["cluster"])["cluster"]
    user = None
    if context.safe_get("user") and merged.safe_get("users"):
        user = merged["users"].get_with_name(context["user"], safe=True)
    try:
        set_proxy(settings, str(cluster.safe_get("proxy-url") or ""), os.environ)
        return headers_of(user["user"].value if user is not None else {}), ""
    except ValueError as error:
        return (), str(error)


def _not_a_kubeconfig(error: Exception) -> str:
    """Words what is wrong with a file by the class of an error, whose text quotes the file."""
    from yaml import YAMLError

    if isinstance(error, YAMLError):
        mark = getattr(error, "problem_mark", None)
        return f"is not a kubeconfig: no valid YAML{f' at line {mark.line + 1}' if mark is not None else ''}"
    if isinstance(error, UnicodeDecodeError):
        return "is not a kubeconfig: no text in UTF-8"
    if isinstance(error, binascii.Error):
        return "is not a kubeconfig: a certificate, a key or its like in it is no base64"
    return "is not a kubeconfig: clusters, users, contexts and current-context are not where they belong"


def open_in_cluster() -> Connection:
    """Makes a connection as the service account of the pod in which this runs; asks the server nothing.

    Its token is short-lived: the client reads the file anew every minute.

    Returns:
        The connection.

    Raises:
        ClusterError: This does not run in a pod, or its service account is not mounted.
    """
    import kubernetes.client
    import kubernetes.config

    library: Any = kubernetes
    settings = _settings(library)
    problem = ""
    try:
        library.config.load_incluster_config(client_configuration=settings)
        set_proxy(settings, "", os.environ)
    except library.config.ConfigException as error:
        problem = str(error)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except ValueError as error:
        problem = str(error)
    if problem:
        raise ClusterError(
            problem,
            subject="the pod's service account",
            phase="connect",
            remedy="--in-cluster works in a pod only, and needs automountServiceAccountToken. Elsewhere give "
            "--kubeconfig and --context.",
        )
    return _connection(library, settings, "in-cluster", "the pod's service account", open_in_cluster)


def _connection(
    library: Any,
    settings: Any,
    context: str,
    shown: str,
    read_again: Callable[[], Connection],
    acting_as: tuple[tuple[str, str], ...] = (),
) -> Connection:
    _refresh_one_at_a_time(settings)
    api = library.client.ApiClient(configuration=settings)
    identity = ClusterIdentity(without_user(str(settings.host)), context, shown)

    def make() -> Any:
        connection = read_again()
        # Other credentials are what was asked for; another cluster is what nobody wants in the middle of an apply.
        if connection.identity.server != identity.server:
            raise ClusterError(f"{shown} names another server now, {connection.identity.server}", phase="connect")
        return connection.client

    return Connection(PooledClient(api, acting_as=acting_as), identity, make=make)


def _refresh_one_at_a_time(settings: Any) -> None:
    """Lets one thread ask a plugin for another token, while the others wait for it.

    The client does it in each thread that finds the token expired: sixteen windows of a login at once.
    """
    refresh = settings.refresh_api_key_hook
    if refresh is None:
        return
    lock = threading.Lock()

    def one_at_a_time(configuration: Any) -> None:
        with lock:
            with _Complaints():
                refresh(configuration)
            # It puts itself back there (kubernetes 33 to 37, config/kube_config.py, _set_config).
            configuration.refresh_api_key_hook = one_at_a_time

    settings.refresh_api_key_hook = one_at_a_time
