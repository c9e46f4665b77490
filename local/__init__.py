"""The whole stack on one machine: what `make run` and the end-to-end tests start.

`platform.Platform` is the way in. The steps have a module each: `ministack` (the stand-in for AWS),
`build` and `sam` (the template, as AWS would get it), `routes` (what the stand-in leaves out),
`tokens` (who may call) and `proxy` (http://localhost:3000).
"""

import sys
from pathlib import Path

# What Lambda finds in /opt/python: rules that the backend has are not written down here again.
sys.path.append(str(Path(__file__).parents[1] / "layers" / "provider"))
