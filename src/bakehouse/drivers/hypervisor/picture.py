"""Pictures of screens, as JPEG."""

from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: A text screen of VGA: 80 by 25 letters of 9 by 16.
_TEXT_SCREEN: Final = (720, 400)
_GREY: Final = (170, 170, 170)
_MARGIN: Final = 8


def jpeg_of(picture: bytes) -> bytes:
    """Return a picture in another format as a JPEG of the same size.

    Raises:
        ValueError: It is no picture.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - most servers are never asked for one

    try:
        with Image.open(BytesIO(picture)) as image:
            return _written(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as err:
        raise ValueError("what the machine drew is no picture") from err


def jpeg_of_text(text: str) -> bytes:
    """Return a text screen that shows these lines."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - see above

    image = Image.new("RGB", _TEXT_SCREEN)
    ImageDraw.Draw(image).multiline_text((_MARGIN, _MARGIN), text, fill=_GREY)
    return _written(image)


def _written(image: "Picture") -> bytes:
    with BytesIO() as file:
        image.save(file, "JPEG", quality=85)
        return file.getvalue()
