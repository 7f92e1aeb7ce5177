"""The plugins that ship with Switchgear."""
