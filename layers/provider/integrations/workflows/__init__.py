"""What a workflow is, how its expressions are evaluated, and the machine that runs it. Pure."""
