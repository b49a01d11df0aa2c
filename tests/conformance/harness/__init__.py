"""The machinery behind run.py.

Two processes are involved. The *parent* (run.py, pool, judge, report) never
imports asyncio's tests nor fastasync; it starts children and reads what they
wrote. The *child* (child.py, patching, recorder, leaks) patches the namespace
of one interpreter and runs the tests of one file in it.
"""
