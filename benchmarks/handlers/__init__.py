"""What runs in the measured processes; copied and compiled before, like everything in there."""

from pathlib import Path

HANDLERS = Path(__file__).resolve().parent
