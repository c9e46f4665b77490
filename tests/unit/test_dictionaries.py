"""The dictionaries of packed rows: a changed byte would make all of those rows unreadable."""

import hashlib

import pytest

from integrations.storage.dictionaries import dictionary

DIGESTS = {
    "events": "269dff57fe9821111de3ad431f1a9a3140f375dad85546d713d48910b75cdae6",
    "journal": "e305a04ed7b5cac8b5dbc19e1d9e7ec80b1e0a6ad783dd46d7caa7be00851e65",
}


@pytest.mark.parametrize(("name", "digest"), DIGESTS.items())
def test_a_dictionary_never_changes(name: str, digest: str) -> None:
    assert hashlib.sha256(dictionary(name)).hexdigest() == digest
