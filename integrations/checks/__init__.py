"""Is this installation able to do its work, and if not, what mends it? The checks behind `billing-desk doctor`."""

from __future__ import annotations

from integrations.checks.examination import Question, examine
from integrations.checks.report import Check, Report, State

__all__ = ["Check", "Question", "Report", "State", "examine"]
