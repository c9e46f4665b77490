"""What is stored, and how: one module per table, the envelope around secrets, the way to AWS."""
