"""The results page: the paper's claims beside what the records of one backbone say of them."""

from dcft.views.claims.answers import find
from dcft.views.claims.page import page
from dcft.views.claims.pictures import pictures
from dcft.views.claims.questions import SUBSTITUTE

__all__ = ["SUBSTITUTE", "find", "page", "pictures"]
