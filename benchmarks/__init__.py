"""`make bench`: what the functions cost, cold and warm. See docs/performance.md."""
