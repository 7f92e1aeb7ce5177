"""Switchgear: an LLM gateway built of plugins.

What a plugin needs is here, in `switchgear.contracts` and in `switchgear.testing`; everything else is the kernel's own.
"""

from switchgear.offer import NoSettings, Offer, OfferKind
from switchgear.plugin import API, Context, Plugin

__all__ = ["API", "Context", "NoSettings", "Offer", "OfferKind", "Plugin", "__version__"]

__version__ = "0.1.0"
