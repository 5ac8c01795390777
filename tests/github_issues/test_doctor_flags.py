"""Does doctor name the issues whose figures people edited away?"""

from __future__ import annotations

import dataclasses

from integrations.checks import server
from integrations.settings import Settings
from testkit.filing_bench import WEB, Bench


def test_an_issue_without_its_block_is_named_with_its_mend(desk: Bench) -> None:
    settings = dataclasses.replace(Settings(), database_url=f"sqlite:///{desk.engine.url.database}")
    desk.file(1)
    assert "Issue figures" not in {check.name for check in server.store(settings)()}
    desk.github.edit_issue(WEB, 1, body="all our own words")
    desk.file(2)
    (flag,) = [check for check in server.store(settings)() if check.name == "Issue figures"]
    assert "#1" in flag.evidence
    assert flag.fix
