"""What is kept, and how: one module per table, the envelope around secrets, the way to AWS."""
