"""The demo's stand-in for Zendesk's agent workspace, with the real sidebar in a frame."""

from __future__ import annotations

from integrations.twins.workspace.server import Workspace

__all__ = ["Workspace"]
