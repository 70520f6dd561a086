"""What is shown by what was right before is what protovalidate says."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from protovalidate import collect_violations

from planton.manifest._known import _is_secret, _table, is_known_right
from planton.manifest._proof import keeps_the_rules
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes
from tests.manifest.test_proof import TYPES, messages
from tests.strategies import databases, operators
from tests.thorough import examples


@pytest.mark.parametrize("descriptor", TYPES, ids=lambda one: one.name)
@settings(max_examples=examples(40))
@given(data=st.data())
def test_what_is_shown_is_so(descriptor: Descriptor, data: st.DataObject) -> None:
    message = data.draw(messages(descriptor))
    first = is_known_right(message)
    assert first == keeps_the_rules(message)
    # By what is remembered now.
    assert is_known_right(message) == first
    if first:
        assert not collect_violations(message)


@settings(max_examples=examples(50))
@given(databases() | operators(), st.data())
def test_one_wrong_value_among_right_ones(message: Any, data: st.DataObject) -> None:
    is_known_right(message)
    fields = [(part, field) for part in (message, message.metadata, message.spec) for field, _ in part.ListFields()]
    part, field = data.draw(st.sampled_from(fields))
    part.ClearField(field.name)
    assert is_known_right(message) <= (not collect_violations(message))
    message.metadata.name = "Wrong"
    assert not is_known_right(message)


def test_credentials_are_not_remembered() -> None:
    operator = PostgresOperatorKubernetes()
    config = operator.spec.backup_config
    config.r2_config.access_key_id = config.r2_config.secret_access_key = "SENTINEL-of-credentials"
    config.credentials.access_key_id.value = config.credentials.secret_access_key.value = "SENTINEL-of-credentials"
    operator.spec.operator_settings["SENTINEL-of-credentials"] = "SENTINEL-of-credentials"
    operator.metadata.annotations["a"] = "SENTINEL-of-credentials"
    is_known_right(operator)
    for descriptor in TYPES:
        table = _table(descriptor)
        assert not any(b"SENTINEL" in one for one in table.known)
        for _, holds in table.fields.values():
            for cell in getattr(holds, "__closure__", None) or ():
                assert "SENTINEL-of-credentials" not in (
                    cell.cell_contents if isinstance(cell.cell_contents, set) else ()
                )
    assert _is_secret(PostgresKubernetes.DESCRIPTOR)
    assert not _is_secret(PostgresKubernetes().spec.container.DESCRIPTOR)
