"""The tree itself: what every refusal is one of, and the exit code that goes with it."""


class HoldfastError(Exception):
    """Every refusal of Holdfast. ``exit_code`` is what a command ends with when it is not caught."""

    exit_code = 70


class Unusable(HoldfastError):
    """Something typed or configured cannot be used as it stands."""

    exit_code = 2


class Refused(HoldfastError):
    """Holdfast could, but policy, preflight or a moved epoch says no."""

    exit_code = 3


class NotFound(HoldfastError):
    """What was named is not there."""

    exit_code = 4


class Unreachable(HoldfastError):
    """A service that is needed does not answer."""

    exit_code = 5


class NoAcknowledgement(HoldfastError):
    """What was asked was sent, and nobody confirmed it in time."""

    exit_code = 6
