"""Named secrets that tests save."""

from typing import Any

from tests.backend import Answer, Backend

VALUE = "sk_live_a-value-that-nobody-sees-again"


def save(backend: Backend, name: str = "SHOP_KEY", value: Any = VALUE, **more: Any) -> Answer:
    backend.secrets.add(VALUE)
    return backend.call("PUT", f"/api/secrets/{name}", {"value": value}, **more)
