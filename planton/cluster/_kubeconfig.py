"""Reads a kubeconfig and makes a connection of it."""

from __future__ import annotations

import os
from typing import Any

from planton.cluster._connection import MAX_THREADS, ClusterIdentity, Connection
from planton.errors import ClusterError


class _Keys(dict[str, str]):
    """The client's credentials under both names that its versions use.

    36.0.0 writes a kubeconfig's token under the one and reads the other, and so sends none:
    https://github.com/kubernetes-client/python/blob/v36.0.0/kubernetes/client/configuration.py (auth_settings).
    """

    def __setitem__(self, name: str, value: str) -> None:
        for one in ("authorization", "BearerToken") if name in ("authorization", "BearerToken") else (name,):
            super().__setitem__(one, value)


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
    import kubernetes.dynamic

    library: Any = kubernetes
    config = library.config
    # Not left to the library, which looks at KUBECONFIG when it is imported.
    given = os.fspath(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG")
    shown = given or os.path.expanduser("~/.kube/config")
    settings = library.client.Configuration()
    settings.api_key = _Keys()
    settings.connection_pool_maxsize = MAX_THREADS
    # Attempts are counted here, where it is known which requests may be sent twice.
    settings.retries = False
    problem = ""
    try:
        contexts, current = config.list_kube_config_contexts(config_file=shown)
        name = context or current["name"]
        names = [one["name"] for one in contexts]
        if name in names:
            api = config.new_client_from_config(
                shown, context=name, persist_config=False, client_configuration=settings
            )
        else:
            problem = f'it has no context "{name}", only {", ".join(names) or "none"}'
    except config.ConfigException as error:
        problem = str(error).splitlines()[0]
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except Exception as error:  # A broken file raises anything, and the parser's words quote it.
        problem = f"it cannot be read ({type(error).__name__})"
    if problem:
        raise ClusterError(
            problem,
            subject=f"kubeconfig {shown}",
            phase="connect",
            remedy="Give the file with --kubeconfig and the context with --context.",
        )
    dynamic = library.dynamic.DynamicClient(api, discoverer=lambda client, cache: None)
    return Connection(dynamic, ClusterIdentity(str(settings.host), name, shown))
