from switchgear.offer import NoSettings


class MemorySettings(NoSettings, frozen=True, forbid_unknown_fields=True):
    """Nothing to set: what is stored ends with the process."""
