"""What is worth a warning in the contents of Secrets with credentials."""

from __future__ import annotations

from planton.errors import Problem
from planton.translate.backup import CERTIFICATE, PATHS
from planton.translate.secret_checks import value_warning
from planton.translate.secret_values import Credentials
from planton.translate.store import AWS_S3, CLOUDFLARE_R2

_PUBLIC_STORES = (AWS_S3, CLOUDFLARE_R2, "google_cloud_storage")


def secret_warnings(
    contents: Credentials, store: str, *, identity: bool = False, path: str = "spec.backup_config"
) -> list[Problem]:
    """Looks for what is worth a warning.

    Args:
        contents: What is to be written into a Secret.
        store: The store, as its field in `storage` is called.
        identity: Whether the store's cloud gives the credentials.
        path: Path of the backup_config.

    Returns:
        A warning for a certificate that a store with public certificates does not need, and for a key that expires.
    """
    warnings = []
    if CERTIFICATE in {*contents.reveal(), *contents.unresolved} and store in _PUBLIC_STORES:
        whose = ", for the identity's token service, too" if identity else ""
        warnings.append(
            Problem(
                f"is the only authority that wal-g then trusts{whose}, and this store has public certificates: nothing "
                "is archived or restored where they are not signed by it. Leave it out; behind a proxy that opens TLS, "
                "put the public authorities into it as well",
                f"{path}.{PATHS[CERTIFICATE]}",
            )
        )
    for key, value in contents.reveal().items():
        if text := value_warning(key, value):
            warnings.append(Problem(text, f"{path}.{PATHS[key]}"))
    return warnings
