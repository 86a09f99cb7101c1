"""How hard hypothesis searches where 25 examples would be too few."""

from hypothesis import settings


def at_least(examples: int) -> settings:
    """So many examples, or as many as the profile asks for if that is more."""
    return settings(max_examples=max(examples, settings.default.max_examples), deadline=None)
