"""What does a ticket say? Text in, `TicketEvidence` out; pure, offline, linear in the length of the text."""

from billing.reading.codes import TextCode
from billing.reading.scoring import log_odds, score
from billing.reading.ticket import read_ticket

__all__ = ["TextCode", "log_odds", "read_ticket", "score"]
