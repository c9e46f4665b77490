"""Where things are in the work tree."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".local"
TEMPLATE = ROOT / "template.yaml"


def interpreter(venv: str) -> Path:
    """Return the Python of one of the virtual environments that make makes."""
    return ROOT / venv / "bin" / "python"
