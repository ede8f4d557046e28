"""The results page: the paper's claims beside what the records of one backbone say of them."""

from dcft.views.claims.page import page, write
from dcft.views.claims.questions import SUBSTITUTE

__all__ = ["SUBSTITUTE", "page", "write"]
