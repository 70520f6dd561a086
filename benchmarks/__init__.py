"""How fast it is: programs that print tables for docs/performance.md. `make bench` runs them all."""
