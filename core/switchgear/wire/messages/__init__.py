"""The Messages form (docs.anthropic.com/en/api/messages): what every provider that speaks it shares.

`MessagesProvider` is what a plugin subclasses. A request goes out in the form, whole answers and streams come back; both
ways either as they are, for a client of the same form, or translated from and to the canonical one.
"""
