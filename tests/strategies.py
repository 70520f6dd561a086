"""Random messages that are valid, one by one and as a set."""

from __future__ import annotations

from hypothesis import strategies as st

from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource
from tests.backup_strategies import buckets, credentials, keys, policies, storages

API_VERSION = "kubernetes.project-planton.org/v1"

names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda name: name != "default" and not name.startswith("kube-")
)
label_values = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?", fullmatch=True)
label_names = st.from_regex(r"[a-z]([a-z0-9_.-]{0,10}[a-z0-9])?", fullmatch=True)
annotation_maps = st.dictionaries(
    label_names, st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3
)
memory = st.from_regex(r"[1-9][0-9]{0,2}(Mi|Gi)", fullmatch=True)
cpu = st.from_regex(r"[1-9][0-9]{0,3}m|[1-9]", fullmatch=True)
disk = st.from_regex(r"[1-9][0-9]{0,3} ?(Mi|Gi|Ti)", fullmatch=True)
paths = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,2}", fullmatch=True)
schedules = st.sampled_from(["0 2 * * *", "*/15 * * * *", "30 4 * * 0", "0 */6 * * *", "0 1 1 * *"])
maybe = st.none() | st.booleans()


@st.composite
def metadata(draw: st.DrawFn, message: Resource) -> None:
    """Fills the metadata of a message."""
    message.metadata.name = draw(names)
    for field, values in (("id", label_values), ("org", label_values), ("env", label_values)):
        setattr(message.metadata, field, draw(st.just("") | values))
    message.metadata.slug = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=10))
    message.metadata.labels.update(draw(st.dictionaries(label_names, label_values, max_size=3)))
    message.metadata.annotations.update(draw(annotation_maps))
    message.metadata.tags.extend(
        draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=2))
    )


@st.composite
def operators(draw: st.DrawFn) -> PostgresOperatorKubernetes:
    """Makes an operator."""
    message = PostgresOperatorKubernetes(api_version=API_VERSION, kind="PostgresOperatorKubernetes")
    draw(metadata(message))
    message.spec.SetInParent()
    if draw(st.booleans()):
        message.spec.container.resources.limits.cpu = draw(cpu)
    if draw(st.booleans()):
        message.spec.target_cluster.kubernetes_cluster_credential_id = draw(names)
    if draw(st.booleans()):
        message.spec.operator_settings["resync_period"] = "10m"
    if draw(st.booleans()):
        config = message.spec.backup_config
        if draw(st.booleans()):
            config.storage.CopyFrom(draw(storages()))
            config.credentials.CopyFrom(draw(credentials(config.storage.WhichOneof("store"), annotated=True)))
        else:
            config.r2_config.cloudflare_account_id = draw(label_names.filter(lambda text: text.isalnum()))
            config.r2_config.bucket_name = draw(buckets)
            if draw(st.booleans()):
                config.credentials.CopyFrom(draw(credentials("cloudflare_r2", annotated=True)))
            else:
                config.r2_config.access_key_id = draw(keys)
                config.r2_config.secret_access_key = draw(keys)
        draw(policies(config, replicas=False))
        config.backup_schedule = draw(schedules)
        if draw(st.booleans()):
            config.s3_prefix_template = draw(paths) + "/$(SCOPE)"
        for field in ("enable_wal_g_backup", "enable_wal_g_restore", "enable_clone_wal_g_restore"):
            value = draw(maybe)
            if value is not None:
                setattr(config, field, value)
    return message


@st.composite
def databases(draw: st.DrawFn) -> PostgresKubernetes:
    """Makes a database."""
    message = PostgresKubernetes(api_version=API_VERSION, kind="PostgresKubernetes")
    draw(metadata(message))
    message.spec.SetInParent()
    container = message.spec.container
    if draw(st.booleans()):
        container.replicas = draw(st.integers(0, 9))
    if draw(st.booleans()):
        container.disk_size = draw(disk)
    if draw(st.booleans()):
        container.resources.requests.memory = draw(memory)
    if draw(st.booleans()):
        message.spec.version = draw(st.sampled_from(["13", "14", "15", "16", "17"]))
    if draw(st.booleans()):
        message.spec.ingress.enabled = draw(st.booleans())
        message.spec.ingress.dns_domain = "example.org"
    if draw(st.booleans()):
        config = message.spec.backup_config
        config.SetInParent()
        if draw(st.booleans()):
            config.storage.CopyFrom(draw(storages()))
            config.credentials.CopyFrom(draw(credentials(config.storage.WhichOneof("store"), annotated=False)))
        elif draw(st.booleans()):
            config.credentials.CopyFrom(draw(credentials(None, annotated=False)))
        draw(policies(config, replicas=container.replicas > 1))
        if draw(st.booleans()):
            bucket = config.storage.bucket_name or draw(buckets)
            config.s3_prefix = f"{bucket}/{draw(paths)}/$(SCOPE)"
        if draw(st.booleans()):
            config.backup_schedule = draw(schedules)
        for field in ("enable_restore", "enable_clone"):
            value = draw(maybe)
            if value is not None:
                setattr(config, field, value)
        # True without any operator has no credentials, which is refused.
        if draw(st.booleans()):
            config.enable_backup = False
    return message
