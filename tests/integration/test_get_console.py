"""GET /, /connect, /console/{file+}, /docs, /docs/{file+}: the built pages and files."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.backend import Backend, event
from tools.template import ROOT

pytestmark = pytest.mark.usefixtures("built_console")


def get(
    backend: Backend, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """What the function answers: status, headers and the body's bytes."""
    payload: dict[str, Any] = event("get_console", "page")
    payload["rawPath"] = payload["requestContext"]["http"]["path"] = path
    payload["headers"] = {"accept-encoding": "gzip", **(headers or {})}
    answer = backend.invoke("get_console", payload)
    body = answer["body"].encode()
    if answer.get("isBase64Encoded"):
        body = base64.b64decode(answer["body"])
    return answer["statusCode"], answer["headers"], body


def page(backend: Backend) -> str:
    return gzip.decompress(get(backend, "/")[2]).decode()


def assets(backend: Backend) -> list[str]:
    return re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', page(backend))


@pytest.mark.parametrize(
    "path", ["/", "/connect", "/console/", "/console/workflows", "/console/executions/exe_1"]
)
def test_every_place_of_the_console_is_its_page(backend: Backend, path: str) -> None:
    status, headers, body = get(backend, path)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-cache"
    assert b'<div id="app">' in gzip.decompress(body)
    assert "Set-Cookie" not in headers


def test_the_page_may_run_and_reach_nothing_but_our_own(backend: Backend) -> None:
    policy = dict(
        rule.split(" ", 1) for rule in get(backend, "/")[1]["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in str(policy)


def test_the_page_has_nothing_that_its_policy_would_refuse(backend: Backend) -> None:
    text = page(backend)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r'(?:src|href)="(?!/console/)', text)


def test_with_an_issuer_the_page_may_reach_it_too(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JWT_ISSUER", "https://login.example.com/pool")
    monkeypatch.setenv("CONSOLE_CLIENT_ID", "console")
    monkeypatch.setenv("CONSOLE_TOKEN_ORIGIN", "https://token.example.com")
    policy = get(backend, "/")[1]["Content-Security-Policy"]
    assert (
        "connect-src 'self' https://login.example.com https://token.example.com; form-action"
        in policy
    )
    settings = json.loads(get(backend, "/console/settings.json")[2])
    assert settings["issuer"] == "https://login.example.com/pool"
    assert settings["clientId"] == "console"


def test_the_page_is_told_whose_pages_may_call_the_api(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTEND_URL", "https://app.example.com,https://shop.example.com")
    settings = json.loads(get(backend, "/console/settings.json")[2])
    assert settings["origins"] == ["https://app.example.com", "https://shop.example.com"]


def test_without_an_issuer_nobody_is_sent_anywhere(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONSOLE_CLIENT_ID", raising=False)
    settings = json.loads(get(backend, "/console/settings.json")[2])
    assert "issuer" not in settings
    assert "clientId" not in settings


def test_a_file_with_a_digest_in_its_name_is_cached_for_ever(backend: Backend) -> None:
    names = assets(backend)
    assert names
    for name in names:
        status, headers, body = get(backend, name)
        assert status == 200
        assert "immutable" in headers["Cache-Control"]
        assert headers["Content-Encoding"] == "gzip"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert gzip.decompress(body)


def test_who_takes_no_gzip_gets_the_file_as_it_is(backend: Backend) -> None:
    _, headers, body = get(backend, "/", {"accept-encoding": "identity"})
    assert "Content-Encoding" not in headers
    assert body == page(backend).encode()


@pytest.mark.parametrize("path", ["/", "/console/icon.svg"])
def test_what_the_browser_has_is_not_sent_again(backend: Backend, path: str) -> None:
    etag = get(backend, path)[1]["ETag"]
    status, headers, body = get(backend, path, {"if-none-match": f'W/"x", {etag}'})
    assert (status, body) == (304, b"")
    assert headers["ETag"] == etag
    assert get(backend, path, {"if-none-match": '"other"'})[0] == 200


@pytest.mark.parametrize(
    ("path", "heading"),
    [("/docs", "Documentation"), ("/docs/", "Documentation"), ("/docs/api", "API"),
     ("/docs/providers/telegram", "Telegram"), ("/docs/runbooks", "Runbooks"),
     ("/docs/readme", "Integrations")],
)  # fmt: skip
def test_a_page_of_the_documentation_is_readable_without_a_script(
    backend: Backend, path: str, heading: str
) -> None:
    status, headers, body = get(backend, path)
    text = gzip.decompress(body).decode()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == get(backend, "/")[1]["Content-Security-Policy"]
    assert re.search(rf"<h1[^>]*>[^<]*{heading}", text)


def test_no_link_of_the_documentation_is_dead_and_nothing_in_it_is_refused(
    backend: Backend,
) -> None:
    """Follow every link from the first page on."""
    seen: dict[str, str] = {}
    waiting = {"/docs"}
    while waiting:
        path = waiting.pop()
        status, _, body = get(backend, path)
        assert status == 200, path
        text = gzip.decompress(body).decode()
        seen[path] = text
        assert not re.search(r"<[^>]+ (?:style=|on\w+=)|<style|<script(?![^>]*\ssrc=)", text), path
        links = re.findall(r'<a [^>]*href="(/docs[^"#]*)', text)
        waiting |= {link for link in links if link not in seen}
    sources = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs/flows").glob("*.json")]
    sources.append(ROOT / "docs/postman_collection.json")
    beside = ("readme", "contributing", "security", "changelog", "typescript-client")
    assert len(seen) == len(sources) + len(beside)
    for path, text in seen.items():
        for target, anchor in re.findall(r'<a [^>]*href="(/docs[^"#]*)?#([^"]+)"', text):
            assert f'id="{anchor}"' in seen[target or path], (path, target, anchor)


def test_every_section_of_the_documentation_is_in_the_index(backend: Backend) -> None:
    text = gzip.decompress(get(backend, "/docs")[2]).decode()
    (path,) = re.findall(r'data-index="([^"]+)"', text)
    status, headers, body = get(backend, path)
    assert status == 200
    assert "immutable" in headers["Cache-Control"]
    found = {each["url"]: each for each in json.loads(gzip.decompress(body))}
    assert "Retry-After" in found["/docs/api#errors"]["text"]
    assert found["/docs/providers/telegram-messages#sendmessage"]["title"] == "sendMessage"


@pytest.mark.parametrize(
    "path",
    [
        "/docs/missing",
        "/docs/api.md",
        "/docs/../index",
        "/console/assets/missing.js",
        "/console/../app.py",
        "/console/..%2Fapp.py",
        "/console/files.json",
        "/console/.digest",
        "/console/index.html.gz",
        "/console//etc/passwd.txt",
    ],
)
def test_there_are_no_other_files(backend: Backend, path: str) -> None:
    status, headers, _ = get(backend, path)
    assert status == 404
    assert headers["Content-Type"].startswith("text/html")


def test_the_connect_page_keeps_its_opener_and_the_console_does_not(backend: Backend) -> None:
    name = "Cross-Origin-Opener-Policy"
    assert get(backend, "/connect")[1][name] == "unsafe-none"
    assert get(backend, "/")[1][name] == "same-origin-allow-popups"
