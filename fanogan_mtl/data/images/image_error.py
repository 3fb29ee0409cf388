"""What is wrong with an image."""


class ImageError(ValueError):
    """Bytes that are no image we read; the text is one line that says why."""


def damaged(reason: str) -> ImageError:
    """Make the error of a file that is of a kind we read, but broken."""
    return ImageError(f"a damaged image ({reason})")
