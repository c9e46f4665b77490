"""`make docs`: write what the documentation takes from the code."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "layers/provider"))  # what Lambda finds in /opt/python

from docs import generated  # noqa: E402 - see above


def main() -> None:
    """Write every file that differs, and say which."""
    for path, text in generated.files().items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
