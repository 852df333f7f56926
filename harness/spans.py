"""Spans of time as people read them."""


def duration(seconds: float | None) -> str:
    """Return a time span in the two largest units that matter.

    Example:
        >>> duration(3725)
        '1 h 2 min'
    """
    if seconds is None:
        return "?"
    minutes, hours, days = seconds / 60, seconds / 3600, seconds / 86400
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes:.0f} min"
    if hours < 48:
        return f"{int(hours)} h {int(minutes) % 60} min"
    return f"{days:.1f} days"
