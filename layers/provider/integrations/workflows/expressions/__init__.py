"""Templates and expressions: Jinja2's grammar over JSON data, with a budget for everything.

``{{ trigger.order.id }}`` alone keeps its type; with text around it, it becomes text. Where an
expression is expected (``when``, ``forEach``, ``filter``, ``oncePer``), the braces may be left out.

``parser`` reads them, ``compiler`` makes closures of their syntax trees, ``evaluating`` runs these;
``registry`` has what can be called, ``budget`` what it may cost.

Different from Jinja2, because the data is JSON: in a text ``null`` is empty, booleans are ``true``
and ``false``, lists and objects are JSON; ``a.b`` only ever looks up a field; text is never parsed
back into a number or a list; ``now()`` and dates are RFC 3339 text.
"""

from integrations.workflows.expressions.budget import Budget
from integrations.workflows.expressions.compiler import Template
from integrations.workflows.expressions.evaluating import (
    evaluate,
    references,
    render,
    secret_names,
    truth,
)
from integrations.workflows.expressions.parser import (
    MAX_TEMPLATE,
    expression,
    is_template,
    split_by_commas,
    template,
)
from integrations.workflows.expressions.values import describe

__all__ = [
    "MAX_TEMPLATE",
    "Budget",
    "Template",
    "describe",
    "evaluate",
    "expression",
    "is_template",
    "references",
    "render",
    "secret_names",
    "split_by_commas",
    "template",
    "truth",
]
