"""What DynamoDB refuses an expression for that no emulator looks at: its length.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-expression-parameters
"""

import re
from collections.abc import Mapping
from typing import Any

MOST_BYTES = 4096
MOST_OPERATORS = 300
_OPERATOR = re.compile(r"\b(?:AND|OR|NOT|BETWEEN|IN)\b|<>|[<>]=?|=|\+|-|\b[a-z_]+\(")


def refusal(asked: Mapping[str, Any]) -> str | None:
    """Why DynamoDB refuses a request with these expressions; ``None`` where it does not."""
    for name, text in asked.items():
        if not name.endswith("Expression") or not isinstance(text, str):
            continue
        if len(text.encode()) > MOST_BYTES:
            size = f"expression size: {len(text.encode())}"
            return f"Invalid {name}: Expression size has exceeded the maximum allowed size; {size}"
        if len(_OPERATOR.findall(text)) > MOST_OPERATORS:
            return f"Invalid {name}: The expression contains too many operators"
    return None
