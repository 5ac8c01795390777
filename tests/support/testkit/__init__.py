"""Which tools do the tests share?

`pythonpath = ["tests/support"]` in pyproject.toml makes this folder's packages importable, so a test anywhere writes
`from testkit.postgres import PostgresServer`. The fixtures built on these modules are in tests/conftest.py.
"""
