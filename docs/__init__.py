"""The documentation; `make docs` (`python -m docs`) writes the parts that the code already says."""
