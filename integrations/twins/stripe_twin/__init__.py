"""The Stripe twin: a stateful, strict stand-in for the Stripe API at the SDK's pinned version."""

from __future__ import annotations

from integrations.twins.stripe_twin.seeds import World
from integrations.twins.stripe_twin.twin import API_VERSION, DEFAULT_KEY, StripeTwin

__all__ = ["API_VERSION", "DEFAULT_KEY", "StripeTwin", "World"]
