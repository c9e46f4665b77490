"""``python -m tools docs``: write what the documentation takes from the code."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "layers/provider"))  # what Lambda finds in /opt/python


def docs() -> None:
    """Write every generated file that differs, and say which."""
    from tools import generated

    for path, text in generated.files().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    parser.add_argument("command", choices=["docs"])
    parser.parse_args()
    docs()


if __name__ == "__main__":
    main()
