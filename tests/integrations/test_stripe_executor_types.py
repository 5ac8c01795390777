"""Does type checking notice a kind of step that the executor does not know?"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "integrations" / "stripe_executor.py"


def cases() -> list[ast.match_case]:
    """Those of the match that ends in assert_never."""
    found = [
        node
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.Match) and "assert_never" in ast.unparse(node)
    ]
    (dispatch,) = found
    return dispatch.cases


def test_every_deleted_case_of_the_executor_fails_type_checking(tmp_path: Path) -> None:
    lines = SOURCE.read_text().splitlines(keepends=True)
    copies = {"whole": lines}
    for number, case in enumerate(cases()[:-1]):
        begin, end = case.pattern.lineno - 1, case.body[-1].end_lineno or 0
        while not lines[begin].lstrip().startswith("case"):
            begin -= 1
        copies[f"without_{number}"] = lines[:begin] + lines[end:]
    for name, text in copies.items():
        (tmp_path / f"{name}.py").write_text("".join(text))
    # Only the steps' types matter here, so that nothing else is followed: a second instead of a minute.
    options = ["--strict", "--follow-imports=skip", "--ignore-missing-imports", f"--cache-dir={tmp_path / 'cache'}"]
    files = [str(tmp_path / f"{name}.py") for name in copies]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "billing/steps.py", "billing/money.py", *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    noticed = {Path(line.split(":")[0]).stem for line in ran.stdout.splitlines() if '"assert_never"' in line}
    assert noticed == set(copies) - {"whole"}, ran.stdout + ran.stderr
    assert len(noticed) >= 10
