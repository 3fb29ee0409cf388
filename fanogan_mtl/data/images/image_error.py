"""The error of an image that can't be read."""


class ImageError(ValueError):
    """Raised for bytes that can't be read as an image; its text is one line that says why."""


def damaged(reason: str) -> ImageError:
    """Make the error of a file that is of a kind we read, but broken."""
    return ImageError(f"a damaged image ({reason})")
