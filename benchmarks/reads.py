"""DynamoDB's read units, counted at the wire by the answers' sizes.

Writes are counted by the stand-in itself, which sees each item before and after: see
``tests/fakes/write_units.py``.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

import json
import math
from dataclasses import dataclass

from tests.fakes.write_units import item_size

READ_BYTES = 4096


@dataclass
class Reads:
    """Counts what passes a wire.

    Attributes:
        units: Read units so far.
    """

    units: float = 0.0

    def count(self, operation: str, body: bytes, answer: bytes) -> None:
        """Count one call."""
        if operation not in {"GetItem", "Query", "Scan", "BatchGetItem"}:
            return
        reply = json.loads(answer)
        asked = json.loads(body)
        items = reply.get("Items", [reply["Item"]] if "Item" in reply else [])
        for name, rows in reply.get("Responses", {}).items():
            items += rows
            asked = asked["RequestItems"][name]
        whole = max(1, math.ceil(sum(map(item_size, items)) / READ_BYTES))
        self.units += whole if asked.get("ConsistentRead") else whole / 2
