"""Bad days: a failing API server, killed processes, others who write at the same time, missing permissions.

Each test says through the fixture `observed` what it has seen; `make reliability` writes that into docs/reliability.md.
"""
